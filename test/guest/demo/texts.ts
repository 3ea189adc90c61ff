import type { Paint } from './live-table.ts';
import { formatShare } from './live-table.ts';
import type { Sample } from './sample.ts';

const mib = 1024 * 1024;

export const usage = `Shows tierd at work on an emulated host with a CXL memory expander: no such hardware is needed.

  npm run demo                        until Ctrl-C
  npm run demo -- --seconds 60        for a minute
  npm run demo -- --kernel 6.12       another kernel

  --kernel K       6.12, 7.3 (default) or another cloud kernel that Debian lists
  --seconds N      how long to watch; without it until Ctrl-C
  --help           this text

It builds tierd, boots a Debian guest under QEMU (no KVM needed), installs tierd there as a systemd service and starts a
program whose hot memory lies in CXL memory while cold memory lies in DRAM. Needs root the first time, to install QEMU and
mmdebstrap; the guest image is built once (about a minute) and kept in ~/.cache/tierd.
`;

/** How to talk to the daemon, and to look around in the guest. */
export function tryLines(socketPath: string, enterScript: string, paint: Paint): string[] {
  const get = (path: string): string => `curl -s --unix-socket $S '${path}'`;
  const lines: readonly (readonly [string, string])[] = [
    [get('http://tierd/v1/status?format=text'), 'what it does, and why'],
    [get('http://tierd/v1/snapshot?format=text'), 'every region, how hot'],
    [get('http://tierd/v1/topology'), 'nodes, tiers, CXL devices'],
    [get('http://tierd/v1/policy'), 'what it was asked for'],
    [get('http://tierd/v1/schemes'), 'what it asks of DAMON'],
  ];
  return [
    paint('bold', 'Try in another terminal, as the same user:'),
    '',
    `  S=${socketPath}`,
    ...lines.map(([command, meaning]) => `  ${command.padEnd(68)}${paint('dim', `# ${meaning}`)}`),
    `  curl -s --unix-socket $S -X PATCH -H 'content-type: application/json' \\`,
    `    ${`-d '{"fastUtilization": 0.7}' http://tierd/v1/policy`.padEnd(66)}${paint('dim', '# use less of DRAM')}`,
    '',
    `  ${`sh ${enterScript} journalctl -fu tierd`.padEnd(68)}${paint('dim', '# its log, in the guest')}`,
  ];
}

/** What came of it. */
export function summary(first: Sample, last: Sample, allFastAfter: number | undefined, paint: Paint): string[] {
  const moved = (bytes: number): string => `${Math.round(bytes / mib)} MiB`;
  const when = allFastAfter === undefined ? '' : `, 95 % of it ${allFastAfter.toFixed(0)} s after tierd was allowed to`;
  return [
    paint('bold', 'In short'),
    `  hot memory in DRAM   ${formatShare(first.hotShare)} before, ${formatShare(last.hotShare)} after${when}`,
    `  moved                ${moved(last.promotedBytes)} promoted, ${moved(last.demotedBytes)} demoted`,
    `  DRAM in use          ${formatShare(first.fastUsedShare)} before, ${formatShare(last.fastUsedShare)} after (target ${formatShare(last.targetShare)})`,
  ];
}
