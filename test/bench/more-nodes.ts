import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NODES = 'sys/devices/system/node';
const BLOCKS = 'sys/devices/system/memory';
/** Above all that the recorded guest has: 64 GiB, in blocks of 128 MiB. */
const FIRST_BLOCK = 512;
const BLOCK_BYTES = 2 ** 27;
const BLOCKS_A_NODE = 8;

/** Makes a machine that was recorded with two nodes one of many: node 1 again and again, each with 1 GiB of its own. */
export function addNodes(root: string, count: number): void {
  if (count <= 2) return;
  const write = (path: string, text: string) => writeFileSync(join(root, path), text);
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const zoneinfo = read('proc/zoneinfo');
  const zones = zoneinfo.slice(zoneinfo.indexOf('Node 1,'));
  const added = Array.from({ length: count - 2 }, (_, index) => index + 2);
  for (const nodeId of added) {
    const folder = `${NODES}/node${nodeId}`;
    cpSync(join(root, `${NODES}/node1`), join(root, folder), { recursive: true, verbatimSymlinks: true });
    for (const name of readdirSync(join(root, folder)).filter((entry) => /^memory\d+$/.test(entry))) {
      rmSync(join(root, folder, name));
    }
    const first = firstBlock(nodeId);
    for (let block = first; block < first + BLOCKS_A_NODE; block += 1) {
      cpSync(join(root, `${BLOCKS}/memory8`), join(root, `${BLOCKS}/memory${block}`), {
        recursive: true,
        verbatimSymlinks: true,
      });
      symlinkSync(`../../memory/memory${block}`, join(root, folder, `memory${block}`));
    }
    write(`${folder}/meminfo`, read(`${folder}/meminfo`).replaceAll('Node 1 ', `Node ${nodeId} `));
  }
  for (let nodeId = 0; nodeId < count; nodeId += 1) {
    const distances = Array.from({ length: count }, (_, other) => (other === nodeId ? 10 : 20));
    write(`${NODES}/node${nodeId}/distance`, `${distances.join(' ')}\n`);
  }
  for (const name of ['online', 'possible', 'has_memory']) write(`${NODES}/${name}`, `0-${count - 1}\n`);
  write('sys/devices/virtual/memory_tiering/memory_tier45/nodelist', `1-${count - 1}\n`);
  write('proc/zoneinfo', zoneinfo + added.map((nodeId) => zones.replaceAll('Node 1,', `Node ${nodeId},`)).join(''));
  const end = (firstBlock(count) * BLOCK_BYTES - 1).toString(16);
  const ram = `${(FIRST_BLOCK * BLOCK_BYTES).toString(16)}-${end} : System RAM\n`;
  write('proc/iomem', read('proc/iomem').replace('fd00000000-', `${ram}fd00000000-`));
}

function firstBlock(nodeId: number): number {
  return FIRST_BLOCK + (nodeId - 2) * BLOCKS_A_NODE;
}
