export default function DatacentersPage() {
  return null;
}
