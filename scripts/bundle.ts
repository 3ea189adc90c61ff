import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { isJsonObject } from '../api/schema/json-schema.ts';
import { ConfigSchema } from '../daemon/config-schema.ts';
import { manPage } from './man-page.ts';
import { sampleConfig } from './sample-config.ts';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

// fastify, pino and ajv are CommonJS and call require() for Node's own modules.
const BANNER = `import { createRequire as createRequireForBundle } from 'node:module';
const require = createRequireForBundle(import.meta.url);`;

/** koffi and its compiled part for this machine's architecture: only the move_pages engine, the probe and migration jobs need it. */
const NATIVE_PACKAGES = ['koffi', '@koromix'];

/** C++ sources, documents, and what builds koffi where no compiled part is published. */
const NOT_AT_RUN_TIME = /^\/(?:vendor|doc|cnoke\.cjs|[A-Z]+\.md)$|^\/(?:src|lib)\/.*\.(?!c?js$|json$)\w+$|\.d\.ts$/;

/**
 * Makes a folder with what a host needs beside Node: the daemon in one file, which starts in a third of the time and takes
 * less memory than a tree of modules, koffi, a sample configuration, the manual page, and the systemd unit. Resolves with the version.
 */
export async function bundleInto(directory: string, version?: string): Promise<string> {
  return bundle(directory, version ?? (await packageVersion()));
}

async function bundle(directory: string, version: string): Promise<string> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: { tierd: 'daemon/tierd.ts' },
    outdir: directory,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    banner: { js: BANNER },
    define: { TIERD_VERSION: JSON.stringify(version) },
    // Native code cannot be bundled: it is copied as it is.
    external: ['koffi'],
    legalComments: 'linked',
    logLevel: 'warning',
  });
  // Copied to another machine there is no package.json above to say that tierd.js is a module.
  const manifest = { name: 'tierd', version, type: 'module', private: true };
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await writeFile(join(directory, 'tierd.yaml'), sampleConfig(ConfigSchema));
  await writeFile(join(directory, 'tierd.8'), manPage(version));
  for (const name of NATIVE_PACKAGES) {
    const from = join(ROOT, 'node_modules', name);
    const isNeeded = (path: string) => !NOT_AT_RUN_TIME.test(path.slice(from.length));
    await cp(from, join(directory, 'node_modules', name), { recursive: true, filter: isNeeded });
  }
  await cp(join(ROOT, 'systemd'), join(directory, 'systemd'), { recursive: true });
  return version;
}

async function packageVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  if (!isJsonObject(manifest) || typeof manifest.version !== 'string') throw new Error('package.json has no version');
  return manifest.version;
}
