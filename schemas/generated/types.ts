/**
 * Generated from schemas/*.linkml.yaml by scripts/generate: change those.
 * Fields are as documents hold them: a default is only there after withDefaults (controller/schema/defaults.ts).
 */

/** What an actor is. */
export type ActorType = 'controller' | 'person'

/** What can be approved. */
export type ApprovalPhase = 'SignOff' | 'Disclosure' | 'Confirm'

/** A library that the old tool used. */
export type BackendEngine = 'pyarrow' | 'sqlalchemy' | 'pandas'

/** What was done to a records branch. */
export type BranchAction = 'restore' | 'rotate' | 'accept'

/** How a screen is shown. */
export type ConnectionType = 'rdp' | 'vnc'

/** What can be said. */
export type Decision = 'approve' | 'reject' | 'withdraw'

/** What becomes of data that nobody may read any more. */
export type DeletionPolicy = 'Delete' | 'Retain'

/** A file format. */
export type DestinationFormat = 'csv' | 'duckdb' | 'parquet' | 'sql'

/** A kind of store. */
export type DestinationType = 'filestore' | 'postgresql'

/** A kind of forge; "none" is plain Git. */
export type ForgeType = 'none' | 'github' | 'gitea' | 'gitlab'

/** What one may do in a repository. */
export type GiteaPermission = 'read' | 'write' | 'admin'

/** Who sees a repository. */
export type GiteaVisibility = 'private' | 'limited' | 'public'

/** Where secrets are that are needed before anything else is read. */
export type LocalSecretProvider = 'file' | 'environment'

/** What was done. */
export type LogAction = 'create' | 'validate' | 'statement' | 'sign-off' | 'stage-transfer' | 'disclosure' | 'close' | 'publish' | 'change' | 'error' | 'withdraw' | 'expire' | 'recall' | 'revoke' | 'destroy' | 'seen' | 'take-over'

/** What an entry is. */
export type LogEvent = 'started' | 'outcome' | 'noted'

/** For whom it is said. */
export type LogFormat = 'json' | 'text'

/** How much is said. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

/** How a step ended. */
export type LogResult = 'done' | 'failed' | 'abandoned'

/** What counts as an approval. */
export type ProofGrade = 'signature' | 'attested'

/** Where secrets are. */
export type SecretProvider = 'file' | 'environment' | 'kubernetes'

/** A kind of server. */
export type ServerType = 'postgresql' | 'mysql' | 'sqlserver' | 'databricks'

/** A kind of server. */
export type SourceType = 'postgresql' | 'databricks' | 'databrickssql' | 'mysql' | 'sqlserver' | 'mssql'

/** What can be decided. */
export type StatementPhase = 'SignOff' | 'Disclosure' | 'Confirm' | 'Request'

/** Where what is wanted is held. */
export type StoreMode = 'memory' | 'kubernetes'

/** A kind of store. */
export type StoreType = 'directory' | 'azureBlob' | 's3'

/** How a connection is protected. */
export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full'

/** How a Git repository is reached. */
export type Transport = 'file' | 'https' | 'http' | 'ssh'

/** A branch that was rewritten, and is taken as it is. */
export interface Acceptance {
  /** The commit that an admin named. */
  readonly commit: string
  /** Commits that the branch was known to have, and has no more. */
  readonly lost?: readonly string[]
  /** The commit of the platform repository that names it. */
  readonly platform?: string
}

/** An account on a forge. */
export interface Account {
  /** The host of the forge. */
  readonly host: string
  /** The number of the account, which stays. */
  readonly id: number
  /** The name of the account, for readers; it can be renamed and taken by another. */
  readonly login: string
}

/** Who did something. */
export interface Actor {
  /** The fingerprint of the actor's key. */
  readonly key?: string
  /** What the actor is called. */
  readonly name: string
  /** What the actor is. */
  readonly type: ActorType
}

/** A kind that may be declared, and where. */
export interface Allowance {
  /** The group of the kind. */
  readonly group: string
  /** The kind. */
  readonly kind: string
  /** Namespaces in which it may be declared. */
  readonly namespaces?: readonly string[]
}

/** Any value. */
export type Anything = unknown

/** Who may approve what. Every group that matches has to reach its quorum. */
export interface ApproverGroupSpec {
  /** Who is in the group. */
  readonly members: readonly Member[]
  /** What the group approves. */
  readonly phases: readonly ApprovalPhase[]
  /** For which projects. */
  readonly projects: readonly string[]
  /** What counts as an approval. */
  readonly proof?: ProofGrade
  /** How many different members have to approve. */
  readonly quorum?: number
  /** For which SourceConnections. */
  readonly sources: readonly string[]
}

/** The organization, as RFC 8493 §2.2.2 names it. */
export interface BagInfo {
  /** Where to ask. */
  readonly 'Contact-Email': string
  /** Whom to ask. */
  readonly 'Contact-Name': string
  /** Its postal address. */
  readonly 'Organization-Address': string
  /** The organization that sends the data. */
  readonly 'Source-Organization': string
}

/** What the controller is told outside Git (cratewright.yaml). */
export interface Bootstrap {
  /** Who the controller is. */
  readonly controller: ControllerIdentity
  /** The working folder. */
  readonly folder: string
  /** What the controller says about its work. */
  readonly log?: LogSettings
  /** Private networks that the controller may reach. */
  readonly networks?: readonly string[]
  /** Where admins declare everything else. */
  readonly platform: PlatformSource
  /** How often to look for changes, in seconds. */
  readonly pollSeconds?: number
  /** The Repository whose records take the platform's own log. */
  readonly records?: string
  /** Where secrets are. */
  readonly secrets?: SecretSources
  /** How Git servers are recognised over ssh. */
  readonly ssh?: SshSettings
  /** Where what is wanted is held. */
  readonly store?: StoreMode
  /** How Git servers are recognised over https. */
  readonly tls?: TlsSettings
  /** How Git repositories may be reached; only https where nothing is listed. */
  readonly transports?: readonly Transport[]
}

/** An entry of the log that a records branch has about itself. */
export interface BranchEntry {
  /** What an admin accepted. */
  readonly accept?: Acceptance
  /** What was done. */
  readonly action: BranchAction
  /** Who did it. */
  readonly actor: Actor
  /** Which working folder the controller had. */
  readonly instance: string
  /** The version of this form. */
  readonly log: 'cratewright.dev/branch-log/v1'
  /** Counts from 1. */
  readonly number: number
  /** SHA-256 of the file of the entry before; 64 zeros in the first. */
  readonly previous: string
  /** What was taken back. */
  readonly restore?: Restoring
  /** Which key took the place of which. */
  readonly rotate?: Rotation
  /** When the entry was made; never before that of the entry before. */
  readonly time: string
}

/** A column. */
export interface Column {
  /** The type of the column as the source has it. */
  readonly datatype: string
  /** What the column holds. */
  readonly description?: string
  /** The name of the column as the source has it. */
  readonly name: string
}

/** Who publishes (config.toml). */
export interface Config {
  /** What bag-info.txt says of the organization. */
  readonly 'bagit-info': BagInfo
}

/** Who the controller is. */
export interface ControllerIdentity {
  /** The file that holds its private SSH key. */
  readonly key: string
  /** What records call it. */
  readonly name: string
  /** The research environment it works for. */
  readonly tre?: TreIdentity
}

/** Names of secrets, never their values. */
export interface Credential {
  /** The name of the secret that holds the password. */
  readonly password_key?: string
  /** Where the secrets are. */
  readonly provider?: string
  /** The name of the secret that holds the client id, for Databricks. */
  readonly spn_clientid?: string
  /** The name of the secret that holds the client secret, for Databricks. */
  readonly spn_secret?: string
  /** The name of the secret that holds the user name. */
  readonly username_key?: string
}

/** Federated analysis. */
export interface DataSHIELD {
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** The name of the resource. */
  readonly name: string
  /** What it is. */
  readonly resource_type: 'DataSHIELD'
  /** Where people find it. */
  readonly url?: string
}

/** Tables of one schema. */
export interface Dataset {
  /** What the dataset is. */
  readonly description?: string
  /** What the old tool wrote. */
  readonly locations?: readonly Anything[]
  /** What the dataset is called in the release. */
  readonly name: string
  /** What the old tool wrote. */
  readonly publish_path?: Anything
  /** The schema of the database that holds the tables. */
  readonly schema_name: string
  /** What the old tool wrote. */
  readonly staging_path?: Anything
  /** The tables. */
  readonly tables: readonly Table[]
}

/** What becomes of released data once its request has ended or it was called back. Access goes at once, whatever is said here. */
export interface Deletion {
  /** How many days it is kept before it is destroyed, so that a mistake can be undone. */
  readonly afterDays?: number
  /** Whether it is destroyed, or kept where only the controller reads. */
  readonly policy?: DeletionPolicy
}

/** What the project is to have to work with (resources/deployment/cr8-deployment.yaml). */
export interface Deployment {
  /** Hosts that the project may reach. */
  readonly approved_egress_rules?: readonly EgressRule[]
  /** Where the project is to work. */
  readonly environment: Environment
  /** What a container gets where it asks for nothing. */
  readonly limit_range?: LimitRangeConfig
  /** What the project may use in all. */
  readonly resource_quota?: ResourceQuotaConfig
  /** Desktops, notebooks and services of the project. */
  readonly resources?: readonly Resource[]
}

/** Where the data is to go. */
export interface Destination {
  /** What the files are to be. */
  readonly format?: DestinationFormat
  /** The name of the FileStore; may be left out where there is only one. */
  readonly name?: string
  /** What kind of store it is. */
  readonly type: DestinationType
  /** What the old tool never used. */
  readonly url?: string
}

/** The thresholds of a disclosure report. A change counts from the next extraction on, and voids no approval. */
export interface DisclosurePolicy {
  /** Texts in several words that have at least this many characters count as free text. */
  readonly freeTextLength?: number
  /** Counts of rows below this are not shown, and values in fewer rows are small cells. */
  readonly minimumCount?: number
  /** A column with at least this many different values a row is reported as one that tells rows apart. */
  readonly nearUniqueRatio?: number
}

/** A host that the project may reach. */
export interface EgressRule {
  /** The name of the host. */
  readonly fqdn: string
  /** TCP ports; 443 where there is none. */
  readonly ports?: readonly number[]
}

/** The end of a request, or of one of its releases. */
export interface Ending {
  /** The name of the project. */
  readonly project: string
  /** Why. */
  readonly reason: string
  /** The release that is called back; left out, the whole request is withdrawn. */
  readonly release?: number
}

/** A research environment. */
export interface Environment {
  /** The name of the environment. */
  readonly name: string
}

/** An environment variable. Not for secrets. */
export interface EnvironmentVariable {
  /** The name of the variable. */
  readonly name: string
  /** The value of the variable. */
  readonly value: string
}

/** How the old tool read. */
export interface ExtractConfig {
  /** Which library it used. */
  readonly backend_engine?: BackendEngine
}

/** Names with any values. */
export interface Facts {
  readonly [name: string]: unknown
}

/** Where data is staged and released. */
export interface FileStoreSpec {
  /** What becomes of released data that nobody may read any more. */
  readonly deletion?: Deletion
  /** Where released data is; neither it nor staging holds the other. */
  readonly production: string
  /** Where data waits for disclosure. */
  readonly staging: string
  /** What kind of store it is. */
  readonly type: StoreType
}

/** A commit that does not count. */
export interface ForeignCommit {
  /** The commit. */
  readonly commit: string
  /** Why it does not count. */
  readonly reason: string
}

/** The forge that serves a repository. */
export interface Forge {
  /** Where its API is. */
  readonly apiUrl?: string
  /** With which credential its API is used. */
  readonly credential?: RepositoryCredential
  /** Which forge it is. */
  readonly type: ForgeType
}

/** Halts everything there is, for as long as the resource is declared. */
export interface FreezeSpec {
  /** The name of the Person who froze everything. */
  readonly by?: string
  /** Why. */
  readonly reason: string
  /** Since when. */
  readonly since?: string
}

/** A Git server. */
export interface Gitea {
  /** Whether a repository to start from is made. */
  readonly create_template_repo?: boolean
  /** What members may do. */
  readonly default_repo_permission?: GiteaPermission
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** The name of the resource. */
  readonly name: string
  /** What it is. */
  readonly resource_type: 'Gitea'
  /** Where people find it. */
  readonly url: string
  /** Who sees new repositories. */
  readonly visibility?: GiteaVisibility
}

/** Who asks for data, for what (resources/governance/cr8-governance.yaml). */
export interface Governance {
  /** The agreement under which the data is shared, as text or address. Ours. */
  readonly agreement?: string
  /** Until when the project may use the data. Ours. */
  readonly end_date?: string
  /** What the data is for. */
  readonly project: Project
  /** What the data will be used for. Ours. */
  readonly purpose?: string
  /** Counts the releases of the project; raise it to ask for another one. Ours. */
  readonly release?: number
  /** The username of whoever asks. Ours. */
  readonly requester?: string
  /** From when the project may use the data. Ours. */
  readonly start_date?: string
  /** Who is to work with the data. */
  readonly users: readonly User[]
}

/** Which data is asked for, and where it is to go (resources/data/cr8-ingress.yaml). */
export interface Ingress {
  /** The data. */
  readonly datasets: readonly Dataset[]
  /** Where the data is to go. */
  readonly destination: Destination
  /** Where the data is. */
  readonly source: Source
}

/** Notebooks. */
export interface Jupyter {
  /** How people sign in. */
  readonly auth?: string
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** The name of the resource. */
  readonly name: string
  /** What people can choose from. */
  readonly profiles?: readonly ProfileConfig[]
  /** What it is. */
  readonly resource_type: 'Jupyter'
  /** Disks of the notebooks. */
  readonly storage?: ResourceStorage
  /** Where people find it. */
  readonly url: string
}

/** Sign-in. */
export interface Keycloak {
  /** Applications that people sign in to. */
  readonly clients?: readonly KeycloakClientConfig[]
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** The name of the resource. */
  readonly name: string
  /** The realm of the project. */
  readonly realm?: string
  /** What it is. */
  readonly resource_type: 'Keycloak'
  /** Where people find it. */
  readonly url: string
}

/** An application that people sign in to. */
export interface KeycloakClientConfig {
  /** The id of the application. */
  readonly client_id: string
  /** Scopes it always gets. */
  readonly default_client_scopes?: readonly string[]
  /** Whether people can sign in to it. */
  readonly enabled?: boolean
  /** What people see. */
  readonly name?: string
  /** Scopes it can ask for. */
  readonly optional_client_scopes?: readonly string[]
  /** How it signs people in. */
  readonly protocol?: string
  /** What is put into tokens. */
  readonly protocol_mappers?: readonly ProtocolMapper[]
  /** Whether it has no secret. */
  readonly public_client?: boolean
  /** Where people may be sent after signing in. */
  readonly redirect_uris?: readonly string[]
  /** Never allowed; name it in secret_ref. */
  readonly secret?: Anything
  /** Which Secret holds the secret of the application. */
  readonly secret_ref?: SecretRef
  /** Origins that browsers may call it from. */
  readonly web_origins?: readonly string[]
}

/** What is different from the usual notebook. */
export interface KubespawnerOverride {
  /** Environment variables of the notebook. */
  readonly env?: readonly EnvironmentVariable[]
  /** The image of the notebook. */
  readonly image?: string
}

/** What a container gets where it asks for nothing. */
export interface LimitRangeConfig {
  /** The most processor time. */
  readonly default_cpu?: string
  /** The most memory. */
  readonly default_memory?: string
  /** The processor time it is sure of. */
  readonly default_request_cpu?: string
  /** The memory it is sure of. */
  readonly default_request_memory?: string
}

/** The commits that something was decided at. */
export interface LogCommits {
  /** Of the platform repository. */
  readonly platform?: string
  /** Of the repository that holds the request. */
  readonly projects?: string
}

/** What an entry is for, each in 64 hexadecimal digits. */
export interface LogDigests {
  /** Of the files that were extracted. */
  readonly outputs?: string
  /** Of the steps. */
  readonly plan?: string
  /** Of the documents of the request. */
  readonly request?: string
  /** Of all that the request resolves to. */
  readonly scope?: string
}

/** An entry of the log of one resource. */
export interface LogEntry {
  /** What was done. */
  readonly action: LogAction
  /** Who did it. */
  readonly actor: Actor
  /** The commits it was decided at. */
  readonly commits?: LogCommits
  /** Of what it is for. */
  readonly digests?: LogDigests
  /** Why it failed. */
  readonly error?: LogError
  /** What the entry is. */
  readonly event: LogEvent
  /** What the action found or made. */
  readonly facts?: Facts
  /** How often the content had changed. */
  readonly generation?: number
  /** Which working folder the controller had. */
  readonly instance: string
  /** The version of this form. */
  readonly log: 'cratewright.dev/log/v1'
  /** Counts from 1. */
  readonly number: number
  /** SHA-256 of the file of the entry before; 64 zeros in the first. */
  readonly previous: string
  /** The name of the project. */
  readonly project: string
  /** The release it is for. */
  readonly release?: number
  /** The name of the Repository. */
  readonly repository: string
  /** How it ended. */
  readonly result?: LogResult
  /** The number of the entry that an outcome closes. */
  readonly started?: number
  /** When the entry was made; never before that of the entry before. */
  readonly time: string
}

/** Why something failed; without secrets and without values from rows. */
export interface LogError {
  /** The stable code. */
  readonly code: string
  /** What a person reads. */
  readonly message: string
}

/** A log entry. */
export interface LogReference {
  /** The number of the entry. */
  readonly number: number
  /** Of the entry's file. */
  readonly sha256: string
}

/** What the controller says about its work. */
export interface LogSettings {
  /** For whom it says it. */
  readonly format?: LogFormat
  /** How much it says. */
  readonly level?: LogLevel
}

/** What every resource has; its spec is checked by its kind. */
export interface Manifest {
  /** Group and version of the kind. */
  readonly apiVersion?: string
  /** What the resource is. */
  readonly kind: string
  /** What the resource is called. */
  readonly metadata: Metadata
  /** What is wanted. */
  readonly spec: Anything
}

/** A member of a group. */
export interface Member {
  /** Until when the person is a member. */
  readonly notAfter?: string
  /** From when the person is a member. */
  readonly notBefore?: string
  /** The name of a Person. */
  readonly person: string
}

/** What a resource is called. */
export interface Metadata {
  /** What tools remember. */
  readonly annotations?: StringMap
  /** What tools select by. */
  readonly labels?: StringMap
  /** The name; no other resource of the kind and namespace has it. */
  readonly name: string
  /** The namespace, for kinds that have one. */
  readonly namespace?: string
}

/** Who someone is, as the only link between names, keys and accounts. */
export interface PersonSpec {
  /** Accounts of the person on forges. */
  readonly accounts?: readonly Account[]
  /** What people call the person. */
  readonly displayName: string
  /** Addresses of the person. */
  readonly emails?: readonly string[]
  /** SSH keys that only this person can use. */
  readonly keys?: readonly string[]
}

/** The platform repository. */
export interface PlatformSource {
  /** With which credential it is read. */
  readonly credential?: RepositoryCredential
  /** The only branch whose content is wanted. */
  readonly ref?: string
  /** Keys whose commits are applied. */
  readonly signers: readonly string[]
  /** Where it is. */
  readonly url: string
}

/** A kind of notebook to choose. */
export interface ProfileConfig {
  /** What it is for. */
  readonly description?: string
  /** What people see. */
  readonly display_name: string
  /** What is different from the usual notebook. */
  readonly kubespawner_override?: KubespawnerOverride
  /** A short name. */
  readonly slug: string
}

/** What the data is for. */
export interface Project {
  /** What the old tool wrote. */
  readonly actions?: readonly Anything[]
  /** What the project does. */
  readonly description: string
  /** What the old tool wrote. */
  readonly id?: Anything
  /** The name of the project, and of its folder. */
  readonly name: string
  /** What the project is called elsewhere. */
  readonly reference?: string
  /** What the old tool wrote. */
  readonly start_time?: Anything
}

/** Something that is put into tokens. */
export interface ProtocolMapper {
  /** The settings of the mapper, as JSON in a string. */
  readonly config?: string
  /** Whether people are asked. */
  readonly consent_required?: boolean
  /** The name of the mapper. */
  readonly name: string
  /** The kind of the mapper. */
  readonly protocol_mapper: string
}

/** RStudio. */
export interface RStudio {
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** The name of the resource. */
  readonly name: string
  /** What it is. */
  readonly resource_type: 'RStudio'
  /** Where people find it. */
  readonly url: string
}

/** Where records are written, and whose signature they bear. */
export interface Records {
  /** The commit that is accepted although the branch was rewritten. */
  readonly accept?: string
  /** The branch that takes the records; nobody else writes to it. */
  readonly branch?: string
  /** With which credential the records repository is read and written; left out, that of the watched one where both are on one host. */
  readonly credential?: RepositoryCredential
  /** The first commit of the branch, as `cratewright keys make` prints it. */
  readonly root?: string
  /** Keys whose records count. */
  readonly signers?: readonly Signer[]
  /** Where the records repository is; "same" for the watched one. */
  readonly url?: string
}

/** Names of secrets, never their values. */
export interface RepositoryCredential {
  /** The name of the secret that holds the password or token, for https. */
  readonly password_key?: string
  /** The name of the secret that holds the private key in OpenSSH format without passphrase, for ssh. */
  readonly private_key_key?: string
  /** Where the secrets are. */
  readonly provider: LocalSecretProvider
  /** The name of the secret that holds the user name; may be left out for tokens. */
  readonly username_key?: string
}

/** What to watch, and what may be declared there. */
export interface RepositorySpec {
  /** Kinds that the resources may have; none where nothing is listed. */
  readonly allows?: readonly Allowance[]
  /** Certificates of the only authorities that the server's certificate may come from, in PEM, for https; for the server of the records too. */
  readonly ca?: string
  /** With which credential the repository is read, and its records are written. */
  readonly credential?: RepositoryCredential
  /** Requests that an admin ends, or releases that an admin calls back, whatever their folders say. */
  readonly ended?: readonly Ending[]
  /** Which forge serves the repository. */
  readonly forge?: Forge
  /** Folders of resources. */
  readonly manifests?: readonly string[]
  /** How often to look for changes, in seconds. */
  readonly pollSeconds?: number
  /** Where records are written. */
  readonly records?: Records
  /** The only branch whose content is wanted. */
  readonly ref?: string
  /** Where the data access requests are. */
  readonly requests?: string
  /** Requests for which nothing new is begun; they are looked at and reported as before. */
  readonly suspended?: readonly Suspension[]
  /** Where the repository is. */
  readonly url: string
}

/** Something to work with; resource_type says what. */
export type Resource = DataSHIELD | Gitea | Jupyter | Keycloak | RStudio | VDI

/** What the project may use in all. */
export interface ResourceQuotaConfig {
  /** The most processor time. */
  readonly limits_cpu?: string
  /** The most memory. */
  readonly limits_memory?: string
  /** How many disks. */
  readonly persistentvolumeclaims?: string
  /** How many pods. */
  readonly pods?: string
  /** Processor time that containers are sure of. */
  readonly requests_cpu?: string
  /** Memory that containers are sure of. */
  readonly requests_memory?: string
  /** The size of all disks. */
  readonly requests_storage?: string
  /** How many services. */
  readonly services?: string
}

/** Disks that are kept between sessions. */
export interface ResourceStorage {
  /** The size of a notebook's disk. */
  readonly default_notebook_size?: string
  /** The size of a desktop's disk. */
  readonly default_vdi_size?: string
  /** Whether the disk is kept between sessions. */
  readonly persist?: boolean
}

/** Foreign commits that were taken back. */
export interface Restoring {
  /** The newest of them. */
  readonly commits?: readonly ForeignCommit[]
  /** How many commits were taken back. */
  readonly count: number
  /** The last commit that counts; the tree is its tree again. */
  readonly good: string
  /** How many files they had changed; left out where they were too many to count. */
  readonly pathCount?: number
  /** The first of these files. */
  readonly paths?: readonly string[]
}

/** A key that takes the place of another. */
export interface Rotation {
  /** The key that signs from the next commit on. */
  readonly key: string
  /** The fingerprint of the key that signs this entry's commit, and none after it. */
  readonly old: string
  /** A signature of the new key, over both fingerprints and the entry before. */
  readonly proof: string
}

/** A key of a Kubernetes Secret. */
export interface SecretRef {
  /** The key in the Secret. */
  readonly key?: string
  /** The name of the Secret. */
  readonly name: string
}

/** Where secrets are. */
export interface SecretSources {
  /** What the names of environment variables that hold secrets begin with. */
  readonly environmentPrefix?: string
  /** The folder that holds one file for each secret. */
  readonly folder?: string
}

/** A key that signs records, and the commits it does so for. */
export interface Signer {
  /** The first records commit it signs for. */
  readonly from?: string
  /** The key. */
  readonly key: string
  /** The last records commit it signs for. */
  readonly until?: string
}

/** Where the data is. It has to match a SourceConnection that an admin declared. */
export interface Source {
  /** The catalog, for Databricks. */
  readonly catalog?: string
  /** Names of secrets, as the old tool used them. */
  readonly credentials?: Credential
  /** How the old tool read. */
  readonly extract_config?: ExtractConfig
  /** The path of the warehouse, for Databricks. */
  readonly http_path?: string
  /** The name of the database. */
  readonly name: string
  /** The TCP port of the server. */
  readonly port?: number
  /** What kind of server it is. */
  readonly type: SourceType
  /** The host of the server. */
  readonly url: string
}

/** A source that requests may name, and how it is read. */
export interface SourceConnectionSpec {
  /** Certificates of authorities that the server's certificate may come from, in PEM. */
  readonly ca?: string
  /** How long to wait for a connection, in seconds. */
  readonly connectTimeoutSeconds?: number
  /** With which credential they are read. */
  readonly credentials: SourceCredential
  /** Databases that may be read. */
  readonly databases: readonly string[]
  /** By which thresholds the report counts that approvers read before data leaves. */
  readonly disclosure?: DisclosurePolicy
  /** The host of the server. */
  readonly host: string
  /** How many connections may be open at a time. */
  readonly maxConnections?: number
  /** The TCP port of the server. */
  readonly port: number
  /** Projects that may read them. */
  readonly projects: readonly string[]
  /** How long one table may take, in seconds. */
  readonly statementTimeoutSeconds?: number
  /** How the connection is protected, as libpq's sslmode names it. */
  readonly tls?: TlsMode
  /** What kind of server it is. */
  readonly type: ServerType
}

/** Names of secrets, never their values. */
export interface SourceCredential {
  /** The name of the secret that holds the password. */
  readonly password_key: string
  /** Where the secrets are. */
  readonly provider: SecretProvider
  /** The name of the secret that holds the user name. */
  readonly username_key: string
}

/** How Git servers are recognised over ssh. */
export interface SshSettings {
  /** The keys of the servers, as ssh-keyscan prints them; a server without one is not contacted. */
  readonly hostKeys: readonly string[]
}

/** What a person says about exactly one content, phase and moment of exactly one request. */
export interface Statement {
  /** The agreement that the decision rests on, as text or address. */
  readonly agreement?: string
  /** What the person decided. */
  readonly decision: Decision
  /** Of what is decided about. */
  readonly digests: StatementDigests
  /** How often the content has changed. */
  readonly generation: number
  /** The last log entry when the statement was prepared. */
  readonly log: LogReference
  /** The name of the Person who signs. */
  readonly person: string
  /** What is decided. */
  readonly phase: StatementPhase
  /** The name of the project. */
  readonly project: string
  /** Why. */
  readonly reason?: string
  /** The release it is for. */
  readonly release?: number
  /** The name of the Repository. */
  readonly repository: string
  /** The version of this form. */
  readonly statement: 'cratewright.dev/statement/v1'
}

/** What is decided about, each in 64 hexadecimal digits. */
export interface StatementDigests {
  /** Of the files that were extracted. */
  readonly outputs?: string
  /** Of the steps to confirm. */
  readonly plan?: string
  /** Of the documents of the request. */
  readonly request: string
  /** Of all that the request resolves to. */
  readonly scope?: string
}

/** Names with texts. */
export interface StringMap {
  readonly [name: string]: string
}

/** Requests that an admin halts for a time. */
export interface Suspension {
  /** The name of the Person who halted them. */
  readonly by?: string
  /** The names of the projects. */
  readonly project: string
  /** Why. */
  readonly reason: string
  /** Since when. */
  readonly since?: string
}

/** A table or view, and which of its columns are asked for. */
export interface Table {
  /** The columns. */
  readonly columns: readonly Column[]
  /** What the table holds. */
  readonly description?: string
  /** The name of the table as the source has it. */
  readonly name: string
}

/** How Git servers are recognised over https. */
export interface TlsSettings {
  /** The file with certificates of the only authorities that count, in PEM, where a Repository names none of its own; left out, those of the machine count. */
  readonly ca: string
}

/** A research environment. */
export interface TreIdentity {
  /** What it is called. */
  readonly name: string
  /** The IANA name of the time zone in which dates without a time are meant. */
  readonly timeZone?: string
  /** Its home page. */
  readonly url?: string
}

/** Someone who is to work with the data. */
export interface User {
  /** The organization the user belongs to. */
  readonly affiliation?: string
  /** Where the user can be reached; one of a Person's addresses makes the user that Person. */
  readonly email: string
  /** Whether the user has access at all. */
  readonly enabled?: boolean
  /** Until when the user has access. */
  readonly expiry_date?: string
  /** The family name. */
  readonly family_name?: string
  /** The given name. */
  readonly given_name?: string
  /** What the old tool never used. */
  readonly groups?: readonly Anything[]
  /** An identifier of the user, such as an ORCID. */
  readonly id?: string
  /** Never allowed. */
  readonly password?: Anything
  /** From when the user has access. */
  readonly start_date?: string
  /** The name of a Person, or what the user is to be called. */
  readonly username: string
}

/** A desktop. */
export interface VDI {
  /** How the screen is shown. */
  readonly connection?: ConnectionType
  /** Whether it is to be there. */
  readonly enabled: boolean
  /** Environment variables of the desktop. */
  readonly env?: readonly EnvironmentVariable[]
  /** The image of the desktop. */
  readonly image?: string
  /** The name of the resource. */
  readonly name: string
  /** The project it belongs to. */
  readonly project?: string
  /** What it is. */
  readonly resource_type: 'VDI'
  /** What the desktop asks for and may use. */
  readonly scheduling?: VdiScheduling
  /** Disks of the desktop. */
  readonly storage?: ResourceStorage
  /** Where people find it. */
  readonly url?: string
  /** Whose desktop it is. */
  readonly user?: string
}

/** What a desktop asks for and may use. */
export interface VdiScheduling {
  /** Processor time and memory. */
  readonly resources?: VdiSchedulingResources
}

/** Processor time and memory of a desktop. */
export interface VdiSchedulingResources {
  /** The most processor time. */
  readonly limits_cpu?: string
  /** The most memory. */
  readonly limits_memory?: string
  /** The processor time it is sure of. */
  readonly requests_cpu?: string
  /** The memory it is sure of. */
  readonly requests_memory?: string
}

/** Every class by its name. */
export interface Classes {
  readonly Acceptance: Acceptance
  readonly Account: Account
  readonly Actor: Actor
  readonly Allowance: Allowance
  readonly Anything: Anything
  readonly ApproverGroupSpec: ApproverGroupSpec
  readonly BagInfo: BagInfo
  readonly Bootstrap: Bootstrap
  readonly BranchEntry: BranchEntry
  readonly Column: Column
  readonly Config: Config
  readonly ControllerIdentity: ControllerIdentity
  readonly Credential: Credential
  readonly DataSHIELD: DataSHIELD
  readonly Dataset: Dataset
  readonly Deletion: Deletion
  readonly Deployment: Deployment
  readonly Destination: Destination
  readonly DisclosurePolicy: DisclosurePolicy
  readonly EgressRule: EgressRule
  readonly Ending: Ending
  readonly Environment: Environment
  readonly EnvironmentVariable: EnvironmentVariable
  readonly ExtractConfig: ExtractConfig
  readonly Facts: Facts
  readonly FileStoreSpec: FileStoreSpec
  readonly ForeignCommit: ForeignCommit
  readonly Forge: Forge
  readonly FreezeSpec: FreezeSpec
  readonly Gitea: Gitea
  readonly Governance: Governance
  readonly Ingress: Ingress
  readonly Jupyter: Jupyter
  readonly Keycloak: Keycloak
  readonly KeycloakClientConfig: KeycloakClientConfig
  readonly KubespawnerOverride: KubespawnerOverride
  readonly LimitRangeConfig: LimitRangeConfig
  readonly LogCommits: LogCommits
  readonly LogDigests: LogDigests
  readonly LogEntry: LogEntry
  readonly LogError: LogError
  readonly LogReference: LogReference
  readonly LogSettings: LogSettings
  readonly Manifest: Manifest
  readonly Member: Member
  readonly Metadata: Metadata
  readonly PersonSpec: PersonSpec
  readonly PlatformSource: PlatformSource
  readonly ProfileConfig: ProfileConfig
  readonly Project: Project
  readonly ProtocolMapper: ProtocolMapper
  readonly RStudio: RStudio
  readonly Records: Records
  readonly RepositoryCredential: RepositoryCredential
  readonly RepositorySpec: RepositorySpec
  readonly Resource: Resource
  readonly ResourceQuotaConfig: ResourceQuotaConfig
  readonly ResourceStorage: ResourceStorage
  readonly Restoring: Restoring
  readonly Rotation: Rotation
  readonly SecretRef: SecretRef
  readonly SecretSources: SecretSources
  readonly Signer: Signer
  readonly Source: Source
  readonly SourceConnectionSpec: SourceConnectionSpec
  readonly SourceCredential: SourceCredential
  readonly SshSettings: SshSettings
  readonly Statement: Statement
  readonly StatementDigests: StatementDigests
  readonly StringMap: StringMap
  readonly Suspension: Suspension
  readonly Table: Table
  readonly TlsSettings: TlsSettings
  readonly TreIdentity: TreIdentity
  readonly User: User
  readonly VDI: VDI
  readonly VdiScheduling: VdiScheduling
  readonly VdiSchedulingResources: VdiSchedulingResources
}

/** The fields of a class that withDefaults fills in. */
export interface Defaults {
  readonly ApproverGroupSpec: 'proof' | 'quorum'
  readonly Bootstrap: 'pollSeconds' | 'store' | 'transports'
  readonly Deletion: 'afterDays' | 'policy'
  readonly DisclosurePolicy: 'freeTextLength' | 'minimumCount' | 'nearUniqueRatio'
  readonly Gitea: 'create_template_repo' | 'default_repo_permission' | 'visibility'
  readonly Governance: 'release'
  readonly KeycloakClientConfig: 'enabled' | 'protocol' | 'public_client'
  readonly LogSettings: 'format' | 'level'
  readonly PlatformSource: 'ref'
  readonly ProtocolMapper: 'consent_required'
  readonly Records: 'branch' | 'url'
  readonly RepositorySpec: 'ref'
  readonly SecretRef: 'key'
  readonly SourceConnectionSpec: 'connectTimeoutSeconds' | 'maxConnections' | 'statementTimeoutSeconds' | 'tls'
  readonly Statement: 'release'
  readonly TreIdentity: 'timeZone'
  readonly User: 'enabled'
  readonly VDI: 'connection' | 'image'
}
