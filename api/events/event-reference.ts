import type { EventType, TieringEvent } from '../../tiering/events/event.ts';

/** What the reference says of the events of one type. */
export interface EventReference {
  readonly meaning: string;
  /** By field, besides `at` and `message`, which every event has. */
  readonly fields: Readonly<Record<string, string>>;
}

type FieldOf<T extends EventType> = Exclude<keyof Extract<TieringEvent, { type: T }>, 'type' | 'message'>;

type EventReferences = {
  readonly [T in EventType]: { readonly meaning: string; readonly fields: Readonly<Record<FieldOf<T>, string>> };
};

/** Every type of event with all its fields: one that is missing here does not compile. */
const EVENTS: EventReferences = {
  state: {
    meaning: "The daemon's state has changed.",
    fields: { state: 'The new state.', before: 'The state before; absent at the start.' },
  },
  policy: {
    meaning: 'The policy has changed.',
    fields: { keys: 'The keys that changed, such as `promotion.minAccessRate`.' },
  },
  topology: {
    meaning: 'Memory came or went.',
    fields: { nodeIds: 'The nodes that exist now.' },
  },
  decision: {
    meaning: 'Promotion or demotion out of a node was switched on or off, reaches further, or has another target node.',
    fields: {
      nodeId: 'The node that memory leaves.',
      direction: '`promotion` or `demotion`.',
      targetNodeId: 'The node that memory goes to.',
      budgetBytes: 'The most that one pass may move; 0: off.',
    },
  },
  migration: {
    meaning: 'A migration by order has started or ended.',
    fields: {
      migrationId: 'Its id, as in `/v1/migrations/:id`.',
      state: 'Its new state.',
      movedBytes: 'Bytes moved so far.',
      failedBytes: 'Bytes that could not be moved.',
    },
  },
  warning: {
    meaning: 'Something is wrong.',
    fields: { severity: '`warning` or `error`.' },
  },
};

/** All types by name, with the one that only the stream knows. */
export const EVENT_REFERENCE: ReadonlyMap<string, EventReference> = new Map<string, EventReference>([
  ...Object.entries(EVENTS),
  [
    'gap',
    {
      meaning: 'Some of the events that the client asked for are no longer kept. This event has no other field.',
      fields: { missedEvents: 'How many.' },
    },
  ],
]);
