import { formatKeyPath, isJsonObject } from '../../api/schema/json-schema.ts';
import type { Answer } from './ask.ts';
import type { ClientRequest } from './client-request.ts';

/** What the command line prints of an answer. Pure. */
export function answerText({ show, as, body }: ClientRequest, { contentType, text }: Answer): string {
  if (!contentType.startsWith('application/json')) return text;
  const value: unknown = JSON.parse(text);
  if (as === 'text' && show === 'policy-change') return changedValues(body, value);
  if (as === 'text' && show === 'preview' && isJsonObject(value)) return previewText(value.changes);
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Of the policy that is now in force, what the patch was about. */
function changedValues(patch: unknown, policy: unknown, path: readonly string[] = []): string {
  if (isJsonObject(patch) && isJsonObject(policy)) {
    return Object.entries(patch)
      .map(([key, member]) => changedValues(member, policy[key], [...path, key]))
      .join('');
  }
  return `${formatKeyPath(path)}: ${JSON.stringify(policy)}\n`;
}

function previewText(changes: unknown): string {
  if (!Array.isArray(changes) || changes.length === 0) return 'no kdamond and no scheme would change\n';
  return changes
    .filter((change) => isJsonObject(change))
    .map(({ nodeId, scheme, key, before, after }) => {
      const what = [`node ${nodeId}`, scheme, key].filter((part) => typeof part === 'string' && part !== '');
      return `${what.join(', ')}: ${JSON.stringify(before)} -> ${JSON.stringify(after)}\n`;
    })
    .join('');
}
