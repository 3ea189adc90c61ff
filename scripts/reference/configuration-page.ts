import { POLICY_RULES } from '../../api/policy-rules.ts';
import { formatKeyPath } from '../../api/schema/json-schema.ts';
import { ConfigSchema } from '../../daemon/config-schema.ts';
import { PolicySchema } from '../../tiering/policy.ts';
import { configTable, leaves } from '../config-table.ts';
import { code, page } from './page.ts';

/** docs/reference/configuration.md. */
export function configurationPage(): string {
  const policyKeys = leaves(PolicySchema).map(({ path }) => code(formatKeyPath(path)));
  return page(
    'Configuration',
    'the schema that validates it',
    `The file is \`/etc/tierd/tierd.yaml\`, or \`--config FILE\`. Every key is optional. An unknown key or a wrong value is
an error that names line, key, value and what is allowed.`,
    configTable(ConfigSchema),
    '## Rules between keys',
    [...POLICY_RULES].map(([key, rule]) => `- ${code(key)}: ${rule}.`).join('\n'),
    '## Keys that change while the daemon runs',
    `\`tierd policy set\`, PATCH and PUT \`/v1/policy\` change these keys: ${policyKeys.join(', ')}. A reload
(\`systemctl reload tierd\`) applies them from the file, and \`logLevel\`. All other keys need a restart.`,
  );
}
