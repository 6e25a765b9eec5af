const SECRETS = /^(PILEUS_DATABASE|PILEUS_ADMIN_PASSWORD|PGPASSWORD|OS_.*)$/;

/** What a child process may know: nothing that opens the database or the cloud. */
export function withoutSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !SECRETS.test(name)));
}

/** Takes the secrets out of this process, so that no child of it inherits them. */
export function dropSecrets(environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(environment)) if (SECRETS.test(name)) delete environment[name];
}
