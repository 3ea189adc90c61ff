import { expect, test } from 'vitest';
import { rankByYield } from '../../../../numa/page-maps/order.ts';

const pids = (candidates: Parameters<typeof rankByYield>[0]) => rankByYield(candidates).map(({ pid }) => pid);
const known = (wantedPages: number, scannedPages: number, unreadPages = 0) => ({
  wantedPages,
  scannedPages,
  unreadPages,
});

test('a process that gives more wanted pages for a page scanned comes first', () => {
  const large = { pid: 1, residentPages: 1_000_000, known: known(100_000, 1_000_000) };
  const small = { pid: 2, residentPages: 200_000, known: known(90_000, 200_000) };
  expect(pids([large, small])).toEqual([2, 1]);
});

test('among processes never seen, the largest comes first', () => {
  const sizes = [10, 500_000, 3000].map((residentPages, pid) => ({ pid, residentPages, known: undefined }));
  expect(pids(sizes)).toEqual([1, 2, 0]);
});

test('a few pages do not pay for opening the files of a process', () => {
  const tiny = { pid: 1, residentPages: 100, known: known(100, 100) };
  const large = { pid: 2, residentPages: 100_000, known: known(50_000, 100_000) };
  expect(pids([tiny, large])).toEqual([2, 1]);
});

test('a process never seen is taken for an average one', () => {
  const good = { pid: 1, residentPages: 100_000, known: known(90_000, 100_000) };
  const bad = { pid: 2, residentPages: 100_000, known: known(1000, 100_000) };
  expect(pids([bad, { pid: 3, residentPages: 100_000, known: undefined }, good])).toEqual([1, 3, 2]);
});

test('a process of which only an unwanted part has been read may still hold what is wanted', () => {
  const begun = { pid: 1, residentPages: 150_000, known: known(0, 50_000, 100_000) };
  const small = { pid: 2, residentPages: 2000, known: undefined };
  const useless = { pid: 3, residentPages: 150_000, known: known(0, 150_000) };
  expect(pids([useless, small, begun])).toEqual([1, 2, 3]);
});
