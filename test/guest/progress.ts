/** Receives one line of progress at a time. */
export type Progress = (line: string) => void;

/** Progress to stderr, so that stdout stays free for results. */
export const progressToStderr: Progress = (line) => {
  process.stderr.write(`${line}\n`);
};

const silentMs = 2_000;

/** Runs a step; says what it does once it takes more than two seconds, and how long it took at its end. */
export async function step<T>(progress: Progress, label: string, work: () => Promise<T>): Promise<T> {
  const start = Date.now();
  let told = false;
  const timer = setTimeout(() => {
    told = true;
    progress(`${label} ...`);
  }, silentMs);
  try {
    const result = await work();
    if (told) progress(`${label}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}
