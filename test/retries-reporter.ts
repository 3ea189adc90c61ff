import type { Reporter, TestModule } from 'vitest/node';

/** A test that was run again because it had failed. */
export interface RetriedTest {
  readonly file: string;
  readonly name: string;
  readonly retries: number;
  readonly hasPassed: boolean;
  /** What each try failed with. */
  readonly messages: readonly string[];
}

/** The findings for people; empty when every test was run once. Pure. */
export function retriesText(tests: readonly RetriedTest[]): string {
  if (tests.length === 0) return '';
  const lines = tests.flatMap(({ file, name, retries, hasPassed, messages }) => [
    `  ${file} > ${name}: run ${retries + 1} times, ${hasPassed ? 'passed in the end' : 'failed each time'}`,
    ...messages.map((message) => `    ${message.split('\n')[0]}`),
  ]);
  return [
    '',
    `FINDING: ${tests.length} ${tests.length === 1 ? 'test' : 'tests'} did not pass at once`,
    ...lines,
    '',
  ].join('\n');
}

/** Tells at the end of a run which tests were retried: vitest counts one that passed at last as any other. */
export default class RetriesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    process.stdout.write(retriesText(modules.flatMap(retriedOf)));
  }
}

function retriedOf(module: TestModule): readonly RetriedTest[] {
  return [...module.children.allTests()].flatMap((test) => {
    const retries = test.diagnostic()?.retryCount ?? 0;
    if (retries === 0) return [];
    const { state, errors = [] } = test.result();
    const messages = errors.map(({ message }) => message);
    return [{ file: module.relativeModuleId, name: test.fullName, retries, hasPassed: state === 'passed', messages }];
  });
}
