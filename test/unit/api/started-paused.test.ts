import { expect, test } from 'vitest';
import { harness } from './harness.ts';

test('a start that is paused for want of settings says so in status and diagnosis, until it is resumed', async () => {
  const { api, service } = harness({}, { pauseReason: 'settings.json: cut short', maxWritesPerMinute: 100 });
  await service.pause(new Date());
  expect((await api.inject('/v1/status')).json().pauseReason).toContain('settings.json: cut short');
  expect((await api.inject('/v1/status?format=text')).body).toContain('paused: what was set over REST is not known');
  const diagnosis = await api.inject('/v1/diagnosis');
  expect(diagnosis.json().findings).toContainEqual(expect.objectContaining({ id: 'settings', severity: 'warning' }));
  await api.inject({ method: 'POST', url: '/v1/resume' });
  expect((await api.inject('/v1/status')).json()).not.toHaveProperty('pauseReason');
});

test('a pause that cannot be saved takes the old settings from the next start, and a last try follows at the end', async () => {
  const { api, disk, settings, saved } = harness();
  disk.failure = new Error('no space');
  disk.invalidateFailure = new Error('read-only');
  const { headers } = await api.inject({ method: 'POST', url: '/v1/pause' });
  expect(headers['tierd-warning']).toContain('a restart before that would go on with what was saved earlier');
  delete disk.failure;
  await settings.close();
  expect(saved).toEqual([{ policy: {}, pausedSince: expect.any(String) }]);
});
