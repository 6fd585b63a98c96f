/** What a check or an event is about: Kind/name. What is no such thing has no kind. */
export function parseSubject(subject: string): { kind: string; name: string } {
  const slash = subject.indexOf('/');
  if (slash <= 0) return { kind: '', name: subject };
  return { kind: subject.slice(0, slash), name: subject.slice(slash + 1) };
}
