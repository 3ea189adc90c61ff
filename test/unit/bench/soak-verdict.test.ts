import { describe, expect, test } from 'vitest';
import { judge } from '../../guest/soak/verdict.ts';
import { seededRandom } from '../tiering/random.ts';

const MIB = 1024 * 1024;

/** A look every ten seconds; values by the minute. */
function samples(minutes: number, mib: (minute: number) => number, openFds: (minute: number) => number = () => 30) {
  return Array.from({ length: minutes * 6 }, (_, index) => {
    const minute = index / 6;
    return { seconds: minute * 60, ownBytes: mib(minute) * MIB, openFds: openFds(minute) };
  });
}

describe.each([10, 60])('of %i minutes', (minutes) => {
  const random = seededRandom(3);
  /** What a heap breathes: it grows and is collected, not in step with the looks. */
  const breath = (minute: number) => 6 * ((minute / 1.7) % 1) + random();

  test('memory that grows while it warms up and then breathes is flat', () => {
    const third = minutes / 3;
    const verdict = judge(samples(minutes, (minute) => Math.min(70 + 20 * (minute / third), 90) + breath(minute)));
    expect(verdict).toMatchObject({
      isFlat: true,
      text: expect.stringMatching(/^flat: own resident memory 9\d\.\d MiB, /),
    });
  });

  test('memory that goes on growing is not, whatever it breathes', () => {
    const verdict = judge(samples(minutes, (minute) => 70 + 1.5 * minute + breath(minute)));
    expect(verdict).toMatchObject({
      isFlat: false,
      text: expect.stringMatching(/^GROWING: .* \+\d+\.\d ± \d+\.\d MiB/),
    });
  });

  test('memory that shrinks is flat', () => {
    expect(judge(samples(minutes, (minute) => 90 - minute / 2 + breath(minute)))).toMatchObject({ isFlat: true });
  });

  test('connections that come and go are flat, a descriptor lost now and then is not', () => {
    const open = (minute: number) => 28 + Math.round(3 * ((minute / 0.7) % 1));
    expect(judge(samples(minutes, () => 80, open)).isFlat).toBe(true);
    expect(
      judge(
        samples(
          minutes,
          () => 80,
          (minute) => open(minute) + Math.floor(minute / 2),
        ),
      ).isFlat,
    ).toBe(false);
  });
});

test('over an hour half a MiB a minute is seen, which two medians twenty minutes apart barely tell', () => {
  const text = judge(samples(60, (minute) => 70 + minute / 2)).text;
  expect(text).toBe(
    'GROWING: own resident memory 99.9 MiB, +30.0 ± 0.0 MiB an hour; descriptors 30, +0.0 ± 0.0 an hour',
  );
});

test('a single jump is no slope, many are', () => {
  expect(judge(samples(60, (minute) => (minute < 59 ? 80 : 95))).isFlat).toBe(true);
  expect(judge(samples(60, (minute) => 80 + 5 * Math.floor(minute / 10))).isFlat).toBe(false);
});

test('too few samples tell nothing', () => {
  expect(judge(samples(1, () => 80)).isFlat).toBe(false);
  expect(judge([]).isFlat).toBe(false);
});
