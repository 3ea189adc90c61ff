import type { MeasureCommand } from '../numa/probe/measure-in-child.ts';

/** The command by which tierd starts itself to measure a node; not for people. */
export const MEASURE_NODE = 'measure-node';

/** tierd as this process was started, bundled or from its sources, with the command to measure a node. */
export function measureCommand({
  execPath,
  execArgv,
  argv,
}: Pick<NodeJS.Process, 'execPath' | 'execArgv' | 'argv'>): MeasureCommand {
  const [, entryFile = ''] = argv;
  return { file: execPath, args: [...execArgv, entryFile, MEASURE_NODE] };
}
