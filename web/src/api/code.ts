// The dashboard's own code, which comes in parts, each when it is first needed.

/** How long to wait before a part that did not come is asked for again (ms). A laptop that changes its network breaks off what is under way. */
const pauses = [500, 2000];

function wait(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Imports a part, and tries again when it did not come, once after each pause. What fails then is what failed last. */
export async function part<T>(load: () => Promise<T>, rest: (ms: number) => Promise<void> = wait): Promise<T> {
  for (const pause of pauses) {
    try {
      return await load();
    } catch {
      await rest(pause);
    }
  }
  return load();
}
