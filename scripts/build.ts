import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { isJsonObject } from '../api/schema/json-schema.ts';
import { ConfigSchema } from '../daemon/config-schema.ts';
import { sampleConfig } from './sample-config.ts';

/** Bundles the daemon into dist/: one file that starts in a third of the time and takes less memory than a tree of modules. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');

// fastify, pino and ajv are CommonJS and call require() for Node's own modules.
const BANNER = `import { createRequire as createRequireForBundle } from 'node:module';
const require = createRequireForBundle(import.meta.url);`;

const version = await packageVersion();
await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);

await build({
  absWorkingDir: ROOT,
  entryPoints: { tierd: 'daemon/tierd.ts' },
  outdir: DIST,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  banner: { js: BANNER },
  define: { TIERD_VERSION: JSON.stringify(version) },
  // Native code cannot be bundled: it comes with production node_modules.
  external: ['koffi'],
  legalComments: 'linked',
  logLevel: 'warning',
});

// Copied to another machine there is no package.json above dist/ to say that tierd.js is a module.
await writeFile(
  join(DIST, 'package.json'),
  `${JSON.stringify({ name: 'tierd', version, type: 'module', private: true }, null, 2)}\n`,
);
await writeFile(join(DIST, 'tierd.yaml'), sampleConfig(ConfigSchema));
await cp(join(ROOT, 'systemd'), join(DIST, 'systemd'), { recursive: true });
process.stdout.write(`built tierd ${version} in dist/\n`);

async function packageVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  if (!isJsonObject(manifest) || typeof manifest.version !== 'string') throw new Error('package.json has no version');
  return manifest.version;
}
