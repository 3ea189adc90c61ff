import type { Static } from 'typebox';
import { expectTypeOf, test } from 'vitest';
import type { HistoryBody, PointBody } from '../../../api/views/history-view.ts';
import type { MigrationBody } from '../../../api/views/migration-view.ts';
import type { ProbeBody } from '../../../api/views/probe-view.ts';
import type { SchemesSchema } from '../../../api/views/schemes-view.ts';
import type { StatusBody } from '../../../api/views/status-view.ts';
import type { CgroupsBody, ProcessesBody } from '../../../api/views/survey-views.ts';
import type { TopologyBody } from '../../../api/views/topology-view.ts';
import type { ProbeReport, ProbeResult, SkippedNode } from '../../../numa/probe/result.ts';
import type { CxlBacking, CxlMemoryDevice, MemoryNode, NodePerformance, Topology } from '../../../numa/topology.ts';
import type { HistoryAnswer, HistoryPoint } from '../../../tiering/history/history.ts';
import type { MigrationFailure, MigrationJob } from '../../../tiering/jobs/migration-job.ts';
import type { DesiredScheme, SchemeStats } from '../../../tiering/scheme.ts';
import type { KdamondView, NodeStatus, SchemeView, Status } from '../../../tiering/service.ts';
import type { CgroupPlacement, NodeShare, ProcessPlacement } from '../../../tiering/survey/survey.ts';

type Node = TopologyBody['nodes'][number];
type Cxl = NonNullable<Node['cxl']>;
type Kdamond = Static<typeof SchemesSchema>['kdamonds'][number];
type Scheme = Kdamond['schemes'][number];

/** What the engine learns to tell, the schemas must tell too: tsc fails here when a key is missing on either side. */
test('the schemas have the keys of the types', () => {
  expectTypeOf<keyof TopologyBody>().toEqualTypeOf<keyof Topology | 'leftAlone'>();
  expectTypeOf<keyof Node>().toEqualTypeOf<keyof MemoryNode | 'speedSource'>();
  expectTypeOf<keyof NonNullable<Node['performance']>>().toEqualTypeOf<keyof NodePerformance>();
  expectTypeOf<keyof NonNullable<Node['measured']>>().toEqualTypeOf<keyof NodePerformance>();
  expectTypeOf<keyof Cxl>().toEqualTypeOf<keyof CxlBacking>();
  expectTypeOf<keyof Cxl['devices'][number]>().toEqualTypeOf<keyof CxlMemoryDevice>();
  expectTypeOf<keyof StatusBody>().toEqualTypeOf<
    keyof Status | 'version' | 'host' | 'leftAlone' | 'settingsProblem' | 'pauseReason'
  >();
  expectTypeOf<keyof StatusBody['nodes'][number]>().toEqualTypeOf<keyof NodeStatus>();
  expectTypeOf<keyof Kdamond>().toEqualTypeOf<keyof KdamondView>();
  expectTypeOf<keyof Scheme>().toEqualTypeOf<keyof DesiredScheme | Exclude<keyof SchemeView, 'scheme'>>();
  expectTypeOf<keyof NonNullable<Scheme['stats']>>().toEqualTypeOf<keyof SchemeStats>();
  expectTypeOf<keyof ProbeBody>().toEqualTypeOf<keyof ProbeReport>();
  expectTypeOf<keyof ProbeBody['nodes'][number]>().toEqualTypeOf<keyof ProbeResult>();
  expectTypeOf<keyof ProbeBody['skipped'][number]>().toEqualTypeOf<keyof SkippedNode>();
  expectTypeOf<keyof ProcessesBody['processes'][number]>().toEqualTypeOf<keyof ProcessPlacement>();
  expectTypeOf<keyof CgroupsBody['cgroups'][number]>().toEqualTypeOf<keyof CgroupPlacement>();
  expectTypeOf<keyof CgroupsBody['cgroups'][number]['nodes'][number]>().toEqualTypeOf<keyof NodeShare>();
  expectTypeOf<keyof PointBody>().toEqualTypeOf<Exclude<keyof HistoryPoint, 'startMs'> | 'at' | 'usedShare'>();
  expectTypeOf<keyof HistoryBody['nodes'][number]>().toEqualTypeOf<
    keyof HistoryAnswer['nodes'][number] | 'promotedBytes' | 'demotedBytes'
  >();
  expectTypeOf<keyof MigrationBody>().toEqualTypeOf<keyof MigrationJob>();
  expectTypeOf<keyof MigrationBody['failures'][number]>().toEqualTypeOf<keyof MigrationFailure>();
});
