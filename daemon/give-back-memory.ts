import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects what loading and starting has left in the heap and returns it to the system, in some ten ms. Left to itself V8 does so a minute or two later, and
 * the room that then appears on a full fast node would be filled with memory that has to leave again.
 */
export function giveBackMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect();
}
