import Type from 'typebox';
import { describe, expect, test } from 'vitest';
import { describeAllowed } from '../../../api/schema/allowed.ts';
import { compileCheck } from '../../../api/schema/check.ts';
import { defaultOf, withDefaults } from '../../../api/schema/defaults.ts';
import { isDeeperThan, mergePatch } from '../../../api/schema/merge-patch.ts';
import { mergePatchSchema } from '../../../api/schema/merge-patch-schema.ts';
import { nearest } from '../../../api/schema/nearest.ts';
import { formatViolation } from '../../../api/schema/violation.ts';
import { DEFAULT_POLICY, PolicySchema } from '../../../tiering/policy.ts';

describe('defaults', () => {
  test('of the policy schema are DEFAULT_POLICY', () => {
    expect(defaultOf(PolicySchema)).toEqual(DEFAULT_POLICY);
  });

  test('fill in at every depth and leave the rest as it is', () => {
    const filled = withDefaults(PolicySchema, { promotion: { minAccessRate: 'often' }, extra: [1] });
    expect(filled).toEqual({
      ...DEFAULT_POLICY,
      promotion: { ...DEFAULT_POLICY.promotion, minAccessRate: 'often' },
      extra: [1],
    });
  });

  test('are copies', () => {
    const first = withDefaults(PolicySchema, {});
    expect(first).not.toBe(withDefaults(PolicySchema, {}));
    expect(withDefaults(PolicySchema, null)).toBe(null);
  });
});

describe('mergePatch', () => {
  // RFC 7396, appendix A.
  test.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });
});

test('isDeeperThan counts levels of objects and lists', () => {
  expect(isDeeperThan(1, 0)).toBe(false);
  expect(isDeeperThan({ a: [1] }, 2)).toBe(false);
  expect(isDeeperThan({ a: [1] }, 1)).toBe(true);
  const deep: unknown = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  expect(isDeeperThan(deep, 8)).toBe(true);
});

test.each([
  ['fastUtilisation', 'fastUtilization'],
  ['fast_utilization', 'fastUtilization'],
  ['dryrun', 'dryRun'],
  ['banana', undefined],
  ['x'.repeat(100_000), undefined],
])('nearest to %.30s is %s', (word, expected) => {
  expect(nearest(word, ['fastUtilization', 'dryRun', 'cgroups'])).toBe(expected);
});

test.each([
  [Type.Number(), 'a number'],
  [Type.Number({ minimum: 1 }), 'a number of at least 1'],
  [Type.Integer({ maximum: 5 }), 'an integer of at most 5'],
  [Type.Boolean(), 'true or false'],
  [Type.String(), 'a text'],
  [Type.String({ pattern: '^[a-z]$' }), 'a text that matches ^[a-z]$'],
  [Type.Array(Type.Integer(), { minItems: 2 }), 'a list of at least 2, each an integer'],
  [Type.Union([Type.Literal('a'), Type.Literal(2), Type.Boolean()]), '"a", 2 or true or false'],
  [Type.Object({ a: Type.Null(), b: Type.Null() }), 'a mapping with the keys a, b'],
])('what %j allows is %s', (schema, words) => {
  expect(describeAllowed(schema)).toBe(words);
});

describe('check', () => {
  const check = compileCheck(PolicySchema);

  function problems(value: unknown): string[] {
    const checked = check(value);
    return checked.ok ? [] : checked.violations.map(formatViolation);
  }

  test('accepts the default policy as it is', () => {
    expect(check(DEFAULT_POLICY)).toEqual({ ok: true, value: DEFAULT_POLICY });
  });

  test.each([
    [
      { ...DEFAULT_POLICY, headroomMiB: 1.5 },
      ['headroomMiB: 1.5 is not allowed: must be "auto" or an integer from 0 to 10000000'],
    ],
    [{ ...DEFAULT_POLICY, dryRun: 'yes' }, ['dryRun: "yes" is not allowed: must be true or false']],
    [
      { ...DEFAULT_POLICY, fastUtilization: Number.POSITIVE_INFINITY },
      ['fastUtilization: Infinity is not allowed: must be a number from 0.05 to 0.99'],
    ],
    [
      { ...DEFAULT_POLICY, cgroups: { include: ['/ok', 'relative'], exclude: [] } },
      ['cgroups.include[1]: "relative" is not allowed: must be an absolute path of at most 4096 characters'],
    ],
    [
      { ...DEFAULT_POLICY, constructor: 1 },
      [
        'constructor: unknown key: must be one of the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
      ],
    ],
    [
      { ...DEFAULT_POLICY, 'a/b~c': 1, dryRun: 0 },
      [
        'a/b~c: unknown key: must be one of the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
        'dryRun: 0 is not allowed: must be true or false',
      ],
    ],
    [
      'auto',
      [
        '"auto" is not allowed: must be a mapping with the keys fastUtilization, hotShare, headroomMiB, promotion, demotion, monitoring, movePages, cgroups, onSwitchOff, dryRun',
      ],
    ],
  ])('names what is wrong in %j', (value, expected) => {
    expect(problems(value)).toEqual(expected);
  });

  test('names at most fifty problems', () => {
    const keys = Array.from({ length: 100_000 }, (_, index) => [`key${index}`, 1]);
    expect(problems({ ...DEFAULT_POLICY, ...Object.fromEntries(keys) })).toHaveLength(50);
  });
});

describe('the schema of merge patches', () => {
  test('has every key optional and nullable, at every depth, and no defaults', () => {
    const schema = {
      type: 'object',
      required: ['a', 'b'],
      additionalProperties: false,
      properties: {
        a: { type: 'integer', minimum: 1, default: 3, description: 'a number' },
        b: {
          type: 'object',
          required: ['c'],
          additionalProperties: false,
          properties: { c: { anyOf: [{ const: 'auto' }, { type: 'integer' }], default: 'auto' } },
        },
        d: { type: 'array', items: { type: 'object', required: ['x'], properties: { x: { type: 'string' } } } },
        e: { type: 'string', enum: ['f', 'g'] },
        h: { const: 1 },
      },
    };
    expect(mergePatchSchema(schema)).toEqual({
      type: 'object',
      additionalProperties: false,
      properties: {
        a: { type: ['integer', 'null'], minimum: 1, description: 'a number' },
        b: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: { c: { anyOf: [{ const: 'auto' }, { type: 'integer' }, { type: 'null' }] } },
        },
        // Lists are replaced whole.
        d: {
          type: ['array', 'null'],
          items: { type: 'object', required: ['x'], properties: { x: { type: 'string' } } },
        },
        e: { type: ['string', 'null'], enum: ['f', 'g', null] },
        h: { anyOf: [{ const: 1 }, { type: 'null' }] },
      },
    });
  });

  test('leaves the schema as it was', () => {
    const before = structuredClone(JSON.parse(JSON.stringify(PolicySchema)));
    mergePatchSchema(PolicySchema);
    expect(JSON.parse(JSON.stringify(PolicySchema))).toEqual(before);
  });
});
