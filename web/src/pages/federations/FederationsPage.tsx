export default function FederationsPage() {
  return null;
}
