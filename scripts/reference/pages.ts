import { harness } from '../../test/unit/api/harness.ts';
import { cliPage } from './cli-page.ts';
import { configurationPage } from './configuration-page.ts';
import { eventsPage } from './events-page.ts';
import { exitCodesPage } from './exit-codes-page.ts';
import { metricsPage } from './metrics-page.ts';
import { restApiPage } from './rest-api-page.ts';

/** Every generated page by its path in the repository. */
export async function referencePages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['docs/reference/configuration.md', configurationPage()],
    ['docs/reference/cli.md', cliPage()],
    ['docs/reference/rest-api.md', restApiPage(await openApiDocument())],
    ['docs/reference/metrics.md', metricsPage()],
    ['docs/reference/events.md', eventsPage()],
    ['docs/reference/exit-codes.md', exitCodesPage()],
  ]);
}

/** What GET /openapi.json answers; the engine below plays no part in it. */
async function openApiDocument(): Promise<unknown> {
  const { api } = harness();
  const answer = await api.inject('/openapi.json');
  await api.close();
  return answer.json();
}
