export default function DatacenterPage() {
  return null;
}
