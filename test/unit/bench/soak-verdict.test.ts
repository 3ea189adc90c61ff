import { expect, test } from 'vitest';
import { judge } from '../../guest/soak/verdict.ts';

const MIB = 1024 * 1024;
const samples = (mib: (minute: number) => number, openFds: (minute: number) => number = () => 30) =>
  Array.from({ length: 60 }, (_, minute) => ({
    seconds: minute * 60,
    ownBytes: mib(minute) * MIB,
    openFds: openFds(minute),
  }));

test('memory that grows at first and then breathes is flat', () => {
  expect(judge(samples((minute) => Math.min(90, 70 + minute) + (minute % 5)))).toMatchObject({ isFlat: true });
});

test('memory that goes on growing is not', () => {
  expect(judge(samples((minute) => 70 + minute))).toMatchObject({
    isFlat: false,
    text: expect.stringMatching(/^GROWING/),
  });
});

test('neither are descriptors that go on growing', () => {
  expect(
    judge(
      samples(
        () => 80,
        (minute) => 30 + minute,
      ),
    ).isFlat,
  ).toBe(false);
});

test('too few samples tell nothing', () => {
  expect(judge(samples(() => 80).slice(0, 2)).isFlat).toBe(false);
});
