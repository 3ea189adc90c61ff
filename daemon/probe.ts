import { probeText } from '../api/text/probe-text.ts';
import { discoverTopology } from '../numa/discover.ts';
import { measureInChild } from '../numa/probe/measure-in-child.ts';
import { probeNodes } from '../numa/probe/probe.ts';
import type { ProbeReport } from '../numa/probe/result.ts';
import { HostSysFs } from '../numa/sysfs.ts';
import type { ProbeOptions } from './commands/command.ts';
import { EXIT_OK, EXIT_UNEXPECTED } from './exit-codes.ts';
import { measureCommand } from './own-command.ts';

/** `tierd probe`: measures every memory node and tells the figures; needs no daemon. Resolves with the exit code. */
export async function probe({ json = false }: ProbeOptions, { stdout, stderr }: NodeJS.Process): Promise<number> {
  const sysfs = new HostSysFs();
  const { nodes } = await discoverTopology(sysfs);
  const report = await probeNodes(nodes, {
    sysfs,
    measure: measureInChild(measureCommand(process)),
    onProgress: (text) => stderr.write(`${text}\n`),
  });
  stdout.write(reportText(report, json));
  return report.nodes.length > 0 ? EXIT_OK : EXIT_UNEXPECTED;
}

function reportText(report: ProbeReport, json: boolean): string {
  return json ? `${JSON.stringify(report, undefined, 2)}\n` : probeText(report);
}
