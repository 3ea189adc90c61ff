/** There is no such process or cgroup. */
export class MigrationTargetError extends Error {
  readonly code = 'TIERD_MIGRATION_INVALID';
  readonly key: 'pid' | 'cgroup';
  readonly value: number | string;
  /** What there is, in words that finish "must be ...". */
  readonly allowed: string;

  constructor(key: 'pid' | 'cgroup', value: number | string, allowed: string) {
    super(`${key}: there is no ${value}: must be ${allowed}`);
    this.name = 'MigrationTargetError';
    this.key = key;
    this.value = value;
    this.allowed = allowed;
  }
}

/** So many migrations wait that another one would not be meant. */
export class MigrationQueueFullError extends Error {
  readonly code = 'TIERD_MIGRATION_QUEUE_FULL';

  constructor(waiting: number) {
    super(`${waiting} migrations wait already: cancel some, or ask again when they have run`);
    this.name = 'MigrationQueueFullError';
  }
}
