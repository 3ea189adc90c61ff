/** Entries of /proc/PID/pagemap as 32-bit halves: a frame for each page in memory, undefined for the others. */
export function pagemapWords(frames: readonly (number | undefined)[]): Uint32Array {
  const words = new Uint32Array(2 * frames.length);
  for (const [i, frame] of frames.entries()) {
    if (frame === undefined) continue;
    words[2 * i] = frame % 2 ** 32;
    words[2 * i + 1] = 0x8000_0000 + Math.floor(frame / 2 ** 32);
  }
  return words;
}
