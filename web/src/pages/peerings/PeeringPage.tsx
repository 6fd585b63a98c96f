export default function PeeringPage() {
  return null;
}
