import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { errnoName } from '../../../../numa/syscalls/errno.ts';

test('an errno has its name, of two the usual one, and unknown ones their number', () => {
  expect(errnoName(constants.errno.EBUSY)).toBe('EBUSY');
  expect(errnoName(constants.errno.EAGAIN)).toBe('EAGAIN');
  expect(errnoName(4000)).toBe('errno 4000');
});
