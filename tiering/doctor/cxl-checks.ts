import type { HostFacts, UnusedCxlDevice } from './facts.ts';
import type { Finding } from './finding.ts';

const MIB = 1024 * 1024;

/** CXL memory that is there and cannot be used, or not as it should. */
export function cxlChecks(facts: HostFacts): readonly Finding[] {
  return [...devices(facts), ...dax(facts), ...blocks(facts), ...zones(facts)];
}

function devices({ unusedCxlDevices, uncommittedRegions }: HostFacts): readonly Finding[] {
  const unused = unusedCxlDevices.map(withoutRegion);
  const uncommitted: Finding[] = uncommittedRegions.map((name) => ({
    id: 'cxl-uncommitted',
    severity: 'warning',
    title: `CXL ${name} is not committed: its memory is not used`,
    evidence: [{ file: `/sys/bus/cxl/devices/${name}/commit`, value: '0' }],
    remedy: `cxl enable-region ${name}`,
  }));
  return [...unused, ...uncommitted];
}

/** To make a region of memory that is in use would do harm: told only where it is seen not to be. */
function withoutRegion({ name, setUpBy, evidence }: UnusedCxlDevice): Finding {
  const seen = [{ file: `/sys/bus/cxl/devices/${name}`, value: '(no region has it)' }, evidence];
  switch (setUpBy) {
    case 'none':
      return {
        id: 'cxl-no-region',
        severity: 'warning',
        title: `CXL memory device ${name} is in no region: its memory is not used`,
        evidence: seen,
        remedy: `cxl create-region -m -t ram -d decoder0.0 -w 1 ${name} ("cxl list -D" names the root decoders)`,
      };
    case 'firmware':
      return {
        id: 'cxl-firmware',
        severity: 'info',
        title: `CXL memory device ${name} is in no region, yet firmware set CXL memory up at boot: leave it as it is`,
        evidence: seen,
      };
    case 'unknown':
      return {
        id: 'cxl-no-region',
        severity: 'unseen',
        title: `CXL memory device ${name} is in no region; not known: whether firmware set its memory up at boot`,
        evidence: seen,
        remedy: 'run it as root: sudo tierd doctor',
      };
  }
}

function dax({ daxDevices, files: { autoOnline } }: HostFacts): readonly Finding[] {
  // Where the kernel brings new memory online by itself, daxctl refuses to do it too.
  const isAutomatic = autoOnline.state === 'value' && autoOnline.text.startsWith('online');
  const onlining = isAutomatic ? ' --no-online --force' : '';
  return daxDevices
    .filter(({ driver }) => driver !== 'kmem')
    .map(({ name, driver }) => ({
      id: 'dax-mode',
      severity: 'warning',
      title:
        driver === undefined
          ? `No driver has ${name}: its memory is not used`
          : `${name} is a device of its own (${driver}), not system RAM: only programs that open it have its memory`,
      evidence: [{ file: `/sys/bus/dax/devices/${name}/driver`, value: driver ?? '(none)' }],
      remedy: `modprobe kmem && daxctl reconfigure-device --mode=system-ram${onlining} ${name}`,
    }));
}

function blocks({ offlineBlocks }: HostFacts): readonly Finding[] {
  return [...offlineBlocks].map(([nodeId, indexes]) => ({
    id: 'offline-blocks',
    severity: 'warning',
    title: `Node ${nodeId} has ${indexes.length} memory block(s) offline`,
    evidence: indexes
      .slice(0, 3)
      .map((index) => ({ file: `/sys/devices/system/memory/memory${index}/state`, value: 'offline' })),
    remedy: `for state in $(grep -lx offline /sys/devices/system/node/node${nodeId}/memory*/state); do echo online_movable > $state; done`,
  }));
}

/** Nodes without CPUs whose memory the kernel may use for itself: slow for the kernel, and not to be removed again. */
function zones({ zones: all, topology, files }: HostFacts): readonly Finding[] {
  if (typeof topology === 'string') return [];
  return all
    .filter(({ nodeId, otherBytes }) => {
      const node = topology.nodes.find((candidate) => candidate.nodeId === nodeId);
      return node?.kind === 'cxl' && otherBytes > 0;
    })
    .map(({ nodeId, otherBytes }) => ({
      id: 'not-movable',
      severity: 'warning',
      title: `${Math.round(otherBytes / MIB)} MiB of node ${nodeId} are not in ZONE_MOVABLE: the kernel keeps its own memory there, and it cannot be unplugged`,
      evidence: [
        { file: '/proc/zoneinfo', value: `node ${nodeId}: ${otherBytes} bytes outside zone Movable` },
        ...(files.autoOnline.state === 'value' ? [{ file: files.autoOnline.file, value: files.autoOnline.text }] : []),
      ],
      remedy: `echo online_movable > ${files.autoOnline.file}, then offline its blocks and online them again`,
    }));
}
