export default function ExplainPage() {
  return null;
}
