import { resolve } from 'node:path';
import { Option, Command as Program } from 'commander';
import { REGION_ORDERS } from '../../api/views/region-selection.ts';
import type { ClientRequest } from '../client/client-request.ts';
import { interleaveWeights } from '../client/interleave-arguments.ts';
import { policyPatch } from '../client/policy-arguments.ts';
import type { Choose } from './command.ts';

interface Given {
  readonly socket?: string;
  readonly json?: true;
  readonly watch?: true;
  readonly columns?: string;
  readonly limit?: string;
  readonly since?: string;
  readonly step?: string;
  readonly node?: string;
  readonly minRate?: string;
  readonly maxRate?: string;
  readonly minAge?: string;
  readonly maxAge?: string;
  readonly minSize?: string;
  readonly sort?: string;
  readonly dryRun?: true;
  readonly sources?: true;
  readonly check?: true;
}

/** What each answer can be asked for as. */
type Asked = Pick<ClientRequest, 'method' | 'path'> & Partial<ClientRequest>;

/** What the commands that have only `get` and `set` below them are about. */
export const GROUP_NOUNS: ReadonlyMap<string, string> = new Map([
  ['interleave', 'the weights of interleaving'],
  ['policy', 'the policy'],
]);

/** The commands that ask the running daemon over its REST API. */
export function addClientCommands(program: Program, choose: Choose): void {
  const client = (parent: Program, name: string, summary: string): Program =>
    parent
      .command(name)
      .summary(summary)
      .description(sentence(summary))
      .option('--json', 'print the answer as JSON')
      .option('--socket <path>', "the daemon's socket (default: what the configuration file says)");
  const reader = (parent: Program, name: string, summary: string): Program =>
    client(parent, name, summary).option('--columns <number>', 'width of the text, 100 by default');
  const asking =
    (request: (given: Given, args: readonly string[]) => Asked) =>
    (...parameters: unknown[]): void => {
      // commander gives the arguments, then the options, then the command, which knows both.
      const command = parameters.at(-1);
      if (!(command instanceof Program)) return;
      const given = command.opts<Given>();
      const { args } = command;
      const { socket, columns } = given;
      const asked = request(given, args);
      choose({
        name: 'ask',
        request: {
          as: given.json === true ? 'json' : 'text',
          ...(given.watch === true && { watch: true }),
          ...(socket !== undefined && { socket: resolve(socket) }),
          ...asked,
          ...(columns !== undefined && { path: withQuery(asked.path, { columns }) }),
        },
      });
    };
  const get = (path: string) => asking(() => ({ method: 'GET', path }));

  const atMost = (path: string) => asking(({ limit }) => ({ method: 'GET', path: withQuery(path, { limit }) }));

  reader(program, 'status', 'what the daemon does, node by node, and why')
    .option('--watch', 'again every second, until interrupted')
    .addOption(
      new Option('--check', 'only the state; exit code 75 unless it is moving, settled or paused').conflicts([
        'watch',
        'columns',
      ]),
    )
    .action(
      asking(({ check }) => ({
        method: 'GET',
        path: '/v1/status',
        ...(check === true && { as: 'json' as const, check }),
      })),
    );
  reader(program, 'topology', 'memory nodes, tiers, CXL devices and migration paths').action(get('/v1/topology'));
  reader(program, 'schemes', 'the kdamonds and schemes that tierd runs').action(get('/v1/schemes'));
  reader(program, 'snapshot', 'every region of memory with its access rate and age')
    .option('--node <id>', 'only this memory node')
    .option('--min-rate <share>', 'only what is accessed at least so often, 0 to 1')
    .option('--max-rate <share>', 'only what is accessed at most so often, 0 to 1')
    .option('--min-age <seconds>', 'only what has been so for at least as long')
    .option('--max-age <seconds>', 'only what has been so for at most as long')
    .option('--min-size <bytes>', 'only regions at least so large')
    .addOption(new Option('--sort <order>', 'what comes first (default: by address)').choices(REGION_ORDERS))
    .option('--limit <regions>', 'only the first of each node; without --sort the hottest')
    .option('--watch', 'again every second, until interrupted')
    .action(
      asking((given) => ({
        method: 'GET',
        path: withQuery('/v1/snapshot', {
          nodeId: given.node,
          minAccessRate: given.minRate,
          maxAccessRate: given.maxRate,
          minAgeSeconds: given.minAge,
          maxAgeSeconds: given.maxAge,
          minSizeBytes: given.minSize,
          sort: given.sort,
          limit: given.limit,
        }),
      })),
    );
  reader(program, 'history', 'utilization, temperatures and what moved, over the last hours')
    .option('--since <seconds>', 'from how long ago (default: 600)')
    .option('--step <seconds>', 'length of a step, at least')
    .option('--node <id>', 'only this memory node')
    .action(
      asking(({ since, step, node }) => ({
        method: 'GET',
        path: withQuery('/v1/history', { sinceSeconds: since, stepSeconds: step, nodeId: node }),
      })),
    );
  reader(program, 'processes', 'which processes have memory where, and hot memory on slow nodes')
    .option('--limit <processes>', 'only the first, 50 by default')
    .option('--watch', 'again every second, until interrupted')
    .action(atMost('/v1/processes'));
  reader(program, 'cgroups', 'which cgroups have memory where, and hot memory on slow nodes')
    .option('--limit <cgroups>', 'only the first, 50 by default')
    .option('--watch', 'again every second, until interrupted')
    .action(atMost('/v1/cgroups'));
  reader(program, 'migrations', 'the migrations by order that wait, run, and ended lately')
    .option('--watch', 'again every second, until interrupted')
    .action(get('/v1/migrations'));
  reader(program, 'events', 'what has happened and what happens, until interrupted').action(
    asking(({ json }) => ({
      method: 'GET',
      path: `/v1/events?format=${json === true ? 'json' : 'text'}`,
      follow: true,
    })),
  );
  client(program, 'pause', 'promote and demote nothing until resumed; monitoring goes on').action(
    asking(() => ({ method: 'POST', path: '/v1/pause' })),
  );
  client(program, 'resume', 'promote and demote again').action(asking(() => ({ method: 'POST', path: '/v1/resume' })));

  const interleave = program
    .command('interleave')
    .helpCommand(false)
    .summary('the weights of weighted interleaving')
    .description('Read or set the weights of weighted interleaving.');
  reader(interleave, 'get', 'the weights in force, and what the bandwidths of the nodes recommend').action(
    get('/v1/interleave'),
  );
  client(interleave, 'set', 'set weights by node; the others keep theirs')
    .argument('<node=weight...>', 'such as 0=3 1=1; or "recommended"; or "kernel", which gives them back')
    .action(
      asking((_given, weights) => ({
        method: 'PATCH',
        path: '/v1/interleave',
        body: { weights: interleaveWeights(weights) },
      })),
    );

  const policy = program
    .command('policy')
    .helpCommand(false)
    .summary('what the daemon is to do')
    .description('Read or change the policy.');
  reader(policy, 'get', 'the policy in force, and where each value comes from').action(
    asking(({ json }) => ({ method: 'GET', path: json === true ? '/v1/policy?sources=true' : '/v1/policy' })),
  );
  client(policy, 'set', 'change it, at once and for good; null takes back what was set')
    .argument('<key=value...>', 'such as fastUtilization=0.9 promotion.maxMiBPerSecond=200')
    .option('--dry-run', 'only tell what would change in the kernel')
    .action(
      asking(({ dryRun }, assignments) => ({
        method: 'PATCH',
        path: dryRun === true ? '/v1/policy?dryRun=true' : '/v1/policy',
        body: policyPatch(assignments),
        show: dryRun === true ? 'preview' : 'policy-change',
      })),
    );
}

/** A path with those of the parameters that are given. */
function withQuery(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) if (value !== undefined) query.set(key, value);
  return query.size === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${query}`;
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}
