export default function FederationPage() {
  return null;
}
