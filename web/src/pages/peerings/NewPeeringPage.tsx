export default function NewPeeringPage() {
  return null;
}
