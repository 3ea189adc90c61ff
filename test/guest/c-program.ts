import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { GuestError } from './errors.ts';
import { runHost, tail } from './host-process.ts';
import { cacheDirectory } from './image.ts';

/** Builds a C source for guests (static: their C library may differ from this machine's), once; gives the program's path here. */
export async function buildProgram(source: string): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(source));
  // What it may include.
  const folder = dirname(source);
  for (const file of readdirSync(folder).sort()) if (file.endsWith('.h')) hash.update(readFileSync(join(folder, file)));
  const key = hash.digest('hex').slice(0, 12);
  const name = basename(source, '.c');
  const program = join(cacheDirectory(), name, key, name);
  if (existsSync(program)) return program;
  mkdirSync(dirname(program), { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  const args = ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-o', unfinished, source, '-lm'];
  const result = await runHost('gcc', args);
  if (result.exitCode !== 0) {
    throw new GuestError('PROGRAM_BUILD_FAILED', `gcc ${args.join(' ')} failed:\n${tail(result.stderr, 15)}`);
  }
  renameSync(unfinished, program);
  return program;
}
