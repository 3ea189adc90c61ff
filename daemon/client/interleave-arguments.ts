import { UsageError } from '../errors.ts';

/** Weights by node id from arguments such as `0=3`, or the one word that stands for all. Throws UsageError; values are the daemon's to check. */
export function interleaveWeights(args: readonly string[]): string | Readonly<Record<string, number>> {
  const [first = ''] = args;
  if (args.length === 1 && !first.includes('=')) return first;
  return Object.fromEntries(
    args.map((argument) => {
      const [, nodeId, weight] = /^(\d+)=(\d+)$/.exec(argument) ?? [];
      if (nodeId === undefined) throw new UsageError(`"${argument}" is no NODE=WEIGHT, such as 1=4`);
      return [nodeId, Number(weight)];
    }),
  );
}
