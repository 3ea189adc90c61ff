import { expect, test } from 'vitest';
import { parseConfig } from '../../../daemon/config.ts';

test.each(['{stateDirectory: "/a\\0b"}', '{api: {socket: "/a\\0b"}}', '{api: {tokenFile: "/a\\0b"}}'])(
  'a path with a zero byte is refused: %s',
  (text) => {
    expect(() => parseConfig(text, 'tierd.yaml')).toThrow(/is not allowed: must be/);
  },
);
