import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { HostSysFs } from '../../../numa/sysfs.ts';

export const MiB = 2 ** 20;

export interface NodeSpec {
  readonly id: number;
  /** CPUs in list format; none when left out. */
  readonly cpus?: string;
  /** Numbers of the online memory blocks, 128 MiB each. */
  readonly blocks?: readonly number[];
  readonly offlineBlocks?: readonly number[];
  /** By default the online blocks. */
  readonly totalMiB?: number;
  /** To each node of the tree, in its order; 10 and 20 by default. */
  readonly distances?: readonly number[];
  /** Attributes of access0 (or the named class), as the kernel spells them. */
  readonly performance?: Readonly<Record<string, string>>;
  readonly accessClass?: string;
  readonly initiators?: readonly number[];
}

interface CxlSpec {
  readonly region: string;
  readonly targetNode: number;
  readonly startBlock: number;
  readonly blocks: number;
  /** Memory devices, one a way of interleaving, with the node of their PCI bus. */
  readonly devices: readonly { readonly name: string; readonly numaNode: number }[];
  /** Without a dax device the memory was set up by the firmware. */
  readonly dax?: string;
}

export interface TreeSpec {
  readonly nodes: readonly NodeSpec[];
  readonly possible?: string;
  /** Node lists by tier number; no memory_tiering at all when left out. */
  readonly kernelTiers?: Readonly<Record<number, string>>;
  readonly cxl?: readonly CxlSpec[];
  readonly iomem?: string;
  readonly pageSizeBytes?: number;
}

/** A made-up machine's /sys and /proc in a folder of its own, gone when the test ends. */
export class Tree {
  readonly root: string;
  readonly sysfs: HostSysFs;

  constructor(root: string) {
    this.root = root;
    this.sysfs = new HostSysFs(root);
  }

  async write(path: string, text: string): Promise<void> {
    const full = join(this.root, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, `${text}\n`);
  }

  async link(path: string, target: string): Promise<void> {
    const full = join(this.root, path);
    await mkdir(dirname(full), { recursive: true });
    await symlink(target, full);
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.root, path), { recursive: true, force: true });
  }

  /** Writes the nodes' files as they are after a change of their memory. */
  async writeNodes(nodes: readonly NodeSpec[]): Promise<void> {
    await this.write(`${nodeRoot}/online`, nodes.map(({ id }) => id).join(','));
    for (const [position, node] of nodes.entries()) await this.#writeNode(node, position, nodes);
  }

  async #writeNode(node: NodeSpec, position: number, nodes: readonly NodeSpec[]): Promise<void> {
    const folder = `${nodeRoot}/node${node.id}`;
    const totalKiB = totalMiB(node) * 1024;
    await this.write(
      `${folder}/meminfo`,
      [
        `Node ${node.id} MemTotal:       ${totalKiB} kB`,
        `Node ${node.id} MemFree:        ${totalKiB / 2} kB`,
        `Node ${node.id} MemUsed:        ${totalKiB / 2} kB`,
      ].join('\n'),
    );
    await this.write(`${folder}/cpulist`, node.cpus ?? '');
    const distances = node.distances ?? nodes.map((_, index) => (index === position ? 10 : 20));
    await this.write(`${folder}/distance`, distances.join(' '));
    for (const [state, blocks] of [
      ['online', node.blocks ?? []],
      ['offline', node.offlineBlocks ?? []],
    ] as const) {
      for (const block of blocks) {
        await this.write(`/sys/devices/system/memory/memory${block}/state`, state);
        await this.remove(`${folder}/memory${block}`);
        await this.link(`${folder}/memory${block}`, `../../memory/memory${block}`);
      }
    }
    const access = `${folder}/${node.accessClass ?? 'access0'}/initiators`;
    for (const [name, value] of Object.entries(node.performance ?? {})) await this.write(`${access}/${name}`, value);
    for (const initiator of node.initiators ?? []) {
      await this.remove(`${access}/node${initiator}`);
      await this.link(`${access}/node${initiator}`, `../../../node${initiator}`);
    }
  }
}

const nodeRoot = '/sys/devices/system/node';
const blockBytes = 128 * MiB;

export async function buildTree(spec: TreeSpec): Promise<Tree> {
  const tree = new Tree(await mkdtemp(join(tmpdir(), 'tierd-tree-')));
  onTestFinished(() => rm(tree.root, { recursive: true, force: true }));
  await tree.write('/sys/devices/system/memory/block_size_bytes', blockBytes.toString(16));
  await tree.writeNodes(spec.nodes);
  await tree.write(`${nodeRoot}/possible`, spec.possible ?? spec.nodes.map(({ id }) => id).join(','));
  for (const [number, nodelist] of Object.entries(spec.kernelTiers ?? {})) {
    await tree.write(`/sys/devices/virtual/memory_tiering/memory_tier${number}/nodelist`, nodelist);
  }
  for (const [index, cxl] of (spec.cxl ?? []).entries()) await writeCxl(tree, cxl, index);
  await tree.write('/proc/zoneinfo', zoneinfo(spec));
  await tree.write('/proc/iomem', spec.iomem ?? iomem(spec));
  return tree;
}

/** The kernel's layout: targets name decoders, whose endpoint leads to the device; dax devices lie below their region. */
async function writeCxl(tree: Tree, cxl: CxlSpec, index: number): Promise<void> {
  const bus = '/sys/bus/cxl/devices';
  const address = `0x${(cxl.startBlock * blockBytes).toString(16)}`;
  const size = cxl.blocks * blockBytes;
  await tree.write(`${bus}/${cxl.region}/size`, `0x${size.toString(16)}`);
  await tree.write(`${bus}/${cxl.region}/resource`, address);
  await tree.write(`${bus}/${cxl.region}/interleave_ways`, `${cxl.devices.length}`);
  await tree.write(`${bus}/${cxl.region}/interleave_granularity`, '256');
  for (const [position, device] of cxl.devices.entries()) {
    const port = 10 * (index + 1) + position;
    await tree.write(`${bus}/${cxl.region}/target${position}`, `decoder${port}.0`);
    await tree.link(`${bus}/endpoint${port}/uport`, `../../../../../pci0000:0c/0000:0d:00.0/${device.name}`);
    await tree.write(`${bus}/${device.name}/ram/size`, `0x${(size / cxl.devices.length).toString(16)}`);
    await tree.write(`${bus}/${device.name}/pmem/size`, '0x0');
    await tree.write(`${bus}/${device.name}/serial`, `0x${port}`);
    await tree.write(`${bus}/${device.name}/numa_node`, `${device.numaNode}`);
  }
  if (cxl.dax === undefined) return;
  const folder = `/sys/devices/platform/ACPI0017:00/root0/decoder0.0/${cxl.region}/dax_${cxl.region}/${cxl.dax}`;
  await tree.write(`${folder}/target_node`, `${cxl.targetNode}`);
  await tree.write(`${folder}/resource`, address);
  await tree.write(`${folder}/size`, `${size}`);
  await tree.link(`/sys/bus/dax/devices/${cxl.dax}`, `../../..${folder.slice('/sys'.length)}`);
}

function zoneinfo({ nodes, pageSizeBytes = 4096 }: TreeSpec): string {
  return nodes
    .map((node) => {
      const blocks = [...(node.blocks ?? []), ...(node.offlineBlocks ?? [])];
      const managed = (totalMiB(node) * MiB) / pageSizeBytes;
      const first = Math.min(...blocks, Number.MAX_SAFE_INTEGER);
      const spanned = blocks.length === 0 ? 0 : Math.max(...blocks) + 1 - first;
      return [
        `Node ${node.id}, zone   Normal`,
        `  pages free     ${managed / 2}`,
        '        boost    0',
        '        min      100',
        '        low      200',
        `        high     ${1000 + node.id}`,
        `        spanned  ${(spanned * blockBytes) / pageSizeBytes}`,
        `        present  ${managed}`,
        `        managed  ${managed}`,
        '  pagesets',
        '    cpu: 0',
        '              count: 14',
        '              high:  378',
        `  start_pfn:           ${blocks.length === 0 ? 0 : (first * blockBytes) / pageSizeBytes}`,
      ].join('\n');
    })
    .join('\n');
}

function iomem({ nodes, cxl = [] }: TreeSpec): string {
  const windows = cxl.map(({ startBlock, blocks, dax }, index) => ({
    startBlock,
    end: startBlock + blocks,
    dax,
    index,
  }));
  const lines = windows.flatMap(({ startBlock, end, dax, index }) => [
    `${addresses(startBlock, end)} : CXL Window ${index}`,
    ...(dax === undefined ? [] : [`  ${addresses(startBlock, end)} : ${dax}`]),
    `    ${addresses(startBlock, end)} : System RAM (kmem)`,
  ]);
  const blocks = nodes.flatMap((node) => [...(node.blocks ?? []), ...(node.offlineBlocks ?? [])]);
  const own = blocks.filter((block) => !windows.some(({ startBlock, end }) => block >= startBlock && block < end));
  return [...own.map((block) => `${addresses(block, block + 1)} : System RAM`), ...lines].join('\n');
}

function addresses(startBlock: number, endBlock: number): string {
  const digits = (address: number) => address.toString(16).padStart(8, '0');
  return `${digits(startBlock * blockBytes)}-${digits(endBlock * blockBytes - 1)}`;
}

function totalMiB({ totalMiB: given, blocks = [] }: NodeSpec): number {
  return given ?? blocks.length * 128;
}
