import { join } from 'node:path';
import { GuestError } from '../errors.ts';
import type { Guest } from '../guest.ts';

export const guestSocket = '/run/tierd/tierd.sock';

const copied = '/root/tierd';

/** Installs a build as an operator would and starts the service; resolves when systemd says that it is up. */
export async function startTierdService(guest: Guest, dist: string, configuration: string): Promise<void> {
  await guest.copyIn(dist, copied);
  await guest.check(`sh ${join(copied, 'systemd/install.sh')}`);
  await guest.check('cat >/etc/tierd/tierd.yaml', { stdin: configuration });
  const started = await guest.run('systemctl enable --now tierd', { timeoutMs: 180_000 });
  if (started.exitCode === 0) return;
  const log = await guest.run('journalctl -u tierd -o cat -n 15 --no-pager');
  throw new GuestError('COMMAND_FAILED', `tierd did not start in the guest:\n${log.stdout.trimEnd()}`);
}
