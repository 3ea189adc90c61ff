import { join } from 'node:path';
import { build } from 'esbuild';
import { ROOT } from '../../../scripts/bundle.ts';

/** Puts the programs for guests beside the daemon that has been built into the directory: they find koffi there. */
export async function addPrograms(directory: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['page-work', 'snapshot-work', 'rest-work'].map((name) => join(import.meta.dirname, `${name}.ts`)),
    outdir: directory,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    external: ['koffi'],
    logLevel: 'warning',
  });
}
