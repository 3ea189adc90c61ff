import { ensureHostPackages } from './host-packages.ts';
import { progressToStderr } from './progress.ts';

/** Before any test of the guest project: what this machine lacks is installed, or said once instead of by every test. */
export async function setup(): Promise<void> {
  await ensureHostPackages(progressToStderr);
}
