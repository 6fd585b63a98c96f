export default function PeeringsPage() {
  return null;
}
