export default function NewPolicyPage() {
  return null;
}
