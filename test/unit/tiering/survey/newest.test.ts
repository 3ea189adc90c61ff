import { expect, test } from 'vitest';
import { Newest } from '../../../../tiering/survey/newest.ts';

/** Something to take, at a clock that only the test moves. */
function newest() {
  const state = { nowMs: 1000, takes: 0, finish: (): void => undefined, fail: (_: Error): void => undefined };
  const subject = new Newest({
    nowMs: () => state.nowMs,
    patienceMs: 5,
    take: () => {
      state.takes++;
      const number = state.takes;
      return new Promise<{ takenAtMs: number; number: number }>((resolve, reject) => {
        state.finish = () => resolve({ takenAtMs: state.nowMs, number });
        state.fail = reject;
      });
    },
  });
  return { subject, state };
}

async function withOneTaken(tookMs = 0) {
  const { subject, state } = newest();
  const first = subject.get();
  state.nowMs += tookMs;
  state.finish();
  await first;
  return { subject, state };
}

test('the first who asks waits for it, and all who ask meanwhile share it', async () => {
  const { subject, state } = newest();
  const answers = Promise.all([subject.get(), subject.get()]);
  state.finish();
  expect((await answers).map(({ number }) => number)).toEqual([1, 1]);
  expect(state.takes).toBe(1);
});

test('what is fresh is answered from memory', async () => {
  const { subject, state } = await withOneTaken();
  state.nowMs += 4_999;
  expect((await subject.get()).number).toBe(1);
  expect(state.takes).toBe(1);
});

test('what is not fresh is taken again', async () => {
  const { subject, state } = await withOneTaken();
  state.nowMs += 5_000;
  const second = subject.get();
  state.finish();
  expect((await second).number).toBe(2);
});

test('who can have one of the last minute does not wait for long', async () => {
  const { subject, state } = await withOneTaken();
  state.nowMs += 59_000;
  expect((await subject.get()).number).toBe(1);
  state.finish();
  expect((await subject.get()).number).toBe(2);
  expect(state.takes).toBe(2);
});

test('what is older than a minute is no answer', async () => {
  const { subject, state } = await withOneTaken();
  state.nowMs += 61_000;
  const second = subject.get();
  state.finish();
  expect((await second).number).toBe(2);
});

test('one that took long is followed by nine times as much rest', async () => {
  const { subject, state } = await withOneTaken(2_000);
  state.nowMs += 17_999;
  expect((await subject.get()).number).toBe(1);
  expect(state.takes).toBe(1);
  state.nowMs += 1;
  await subject.get();
  expect(state.takes).toBe(2);
});

test('a failure is told to who has nothing else, and the next one tries again', async () => {
  const { subject, state } = newest();
  const first = subject.get();
  state.fail(new Error('no /proc'));
  await expect(first).rejects.toThrow('no /proc');
  const second = subject.get();
  state.finish();
  expect((await second).number).toBe(2);
});

test('a failure does not take away what there is', async () => {
  const { subject, state } = await withOneTaken();
  state.nowMs += 6_000;
  const second = subject.get();
  state.fail(new Error('no /proc'));
  expect((await second).number).toBe(1);
});
