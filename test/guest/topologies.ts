/** A guest's machine: how many memory nodes of which kind. */
export type Topology = 'numa2' | 'numa2-no-hmat' | 'numa2-large' | 'cxl' | 'two-sockets' | 'three-tiers';

export const topologies: readonly Topology[] = [
  'numa2',
  'numa2-no-hmat',
  'numa2-large',
  'cxl',
  'two-sockets',
  'three-tiers',
];

interface NodeSpec {
  readonly mib: number;
  /** CPUs on the node; a node without any needs the node whose CPUs are nearest. */
  readonly cpus?: string;
  readonly initiator: number;
}

interface Speed {
  /** Nanoseconds. */
  readonly latency: number;
  /** Gigabytes a second. */
  readonly bandwidth: number;
}

interface NumaSpec {
  readonly nodes: readonly NodeSpec[];
  /** SLIT distances, a row for each node. */
  readonly distances: readonly (readonly number[])[];
  /** HMAT figures, a row for each node with CPUs, in the order of the nodes; none: no HMAT. */
  readonly speeds: readonly (readonly Speed[])[];
}

const speed = (latency: number, bandwidth: number): Speed => ({ latency, bandwidth });

/** Node 0 = CPUs and DRAM, node 1 = slower memory without CPU. */
const numa2: NumaSpec = {
  nodes: [
    { mib: 1024, cpus: '0-1', initiator: 0 },
    { mib: 1024, initiator: 0 },
  ],
  distances: [
    [10, 20],
    [20, 10],
  ],
  speeds: [[speed(10, 10), speed(50, 5)]],
};

/** The same with so much DRAM that a share of it is more than what moves at once. */
const numa2Large: NumaSpec = {
  ...numa2,
  nodes: [
    { mib: 14 * 1024, cpus: '0-1', initiator: 0 },
    { mib: 3 * 1024, initiator: 0 },
  ],
};

/** Two sockets (nodes 0, 1), each with an expander of its own (2 at socket 0, 3 at socket 1). */
const twoSockets: NumaSpec = {
  nodes: [
    { mib: 768, cpus: '0', initiator: 0 },
    { mib: 768, cpus: '1', initiator: 1 },
    { mib: 768, initiator: 0 },
    { mib: 768, initiator: 1 },
  ],
  distances: [
    [10, 21, 14, 24],
    [21, 10, 24, 14],
    [14, 24, 10, 26],
    [24, 14, 26, 10],
  ],
  speeds: [
    [speed(100, 20), speed(140, 15), speed(250, 10), speed(400, 6)],
    [speed(140, 15), speed(100, 20), speed(400, 6), speed(250, 10)],
  ],
};

/** DRAM, memory at twice its latency, memory at five times. */
const threeTiers: NumaSpec = {
  nodes: [
    { mib: 1024, cpus: '0-1', initiator: 0 },
    { mib: 768, initiator: 0 },
    { mib: 768, initiator: 0 },
  ],
  distances: [
    [10, 17, 28],
    [17, 10, 28],
    [28, 28, 10],
  ],
  speeds: [[speed(100, 20), speed(200, 15), speed(500, 5)]],
};

/**
 * Memory that must be free on this machine for a guest: it is taken as the guest touches it, and where it is short then, somebody is killed. QEMU and the files that
 * the guest reads need a little beside it.
 */
export function neededMib(topology: Topology): number {
  return topology === 'numa2-large' ? 20 * 1024 : 2.5 * 1024;
}

/** QEMU's arguments for a topology. */
export function topologyArguments(topology: Topology): string[] {
  switch (topology) {
    case 'numa2':
      return numaArguments(numa2, 'cpus=2');
    case 'numa2-no-hmat':
      return numaArguments({ ...numa2, speeds: [] }, 'cpus=2');
    case 'numa2-large':
      return numaArguments(numa2Large, 'cpus=2');
    case 'two-sockets':
      return numaArguments(twoSockets, 'cpus=2,sockets=2,cores=1');
    case 'three-tiers':
      return numaArguments(threeTiers, 'cpus=2');
    case 'cxl':
      return cxlArguments();
  }
}

function numaArguments(spec: NumaSpec, smp: string): string[] {
  const total = spec.nodes.reduce((sum, node) => sum + node.mib, 0);
  const hasHmat = spec.speeds.length > 0;
  const args = ['-machine', `q35,hmat=${hasHmat ? 'on' : 'off'}`, '-cpu', 'max', '-m', `${total}M`, '-smp', smp];
  spec.nodes.forEach((node, id) => {
    args.push('-object', `memory-backend-ram,size=${node.mib}M,id=m${id}`);
    const cpus = node.cpus === undefined ? '' : `,cpus=${node.cpus}`;
    // QEMU refuses initiators without an HMAT to tell them in.
    const initiator = hasHmat ? `,initiator=${node.initiator}` : '';
    args.push('-numa', `node,nodeid=${id},memdev=m${id}${cpus}${initiator}`);
  });
  spec.distances.forEach((row, from) => {
    row.forEach((distance, to) => {
      if (from !== to) args.push('-numa', `dist,src=${from},dst=${to},val=${distance}`);
    });
  });
  spec.speeds.forEach((row, initiator) => {
    row.forEach(({ latency, bandwidth }, target) => {
      const pair = `hmat-lb,initiator=${initiator},target=${target},hierarchy=memory`;
      args.push('-numa', `${pair},data-type=access-latency,latency=${latency}`);
      args.push('-numa', `${pair},data-type=access-bandwidth,bandwidth=${bandwidth}G`);
    });
  });
  return args;
}

/** One DRAM node, and an emulated CXL type-3 memory expander that the guest's own drivers bring up as node 1. */
function cxlArguments(): string[] {
  return [
    ['-machine', 'q35,cxl=on'],
    // With the hypervisor flag the kernel refuses to commit the region's decoders (ENXIO).
    ['-cpu', 'max,hypervisor=off'],
    ['-m', '1G,maxmem=8G,slots=8'],
    ['-smp', '2'],
    ['-object', 'memory-backend-ram,size=1G,id=m0'],
    ['-numa', 'node,nodeid=0,memdev=m0,cpus=0-1'],
    ['-object', 'memory-backend-ram,id=vmem0,share=on,size=512M'],
    ['-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1'],
    ['-device', 'cxl-rp,port=0,bus=cxl.1,id=root_port13,chassis=0,slot=2'],
    ['-device', 'cxl-type3,bus=root_port13,volatile-memdev=vmem0,id=cxl-vmem0'],
    ['-M', 'cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G'],
  ].flat();
}
