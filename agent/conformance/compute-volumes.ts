import type { Connection } from "../protocol/connection.ts";

/** What a driver's test supplies for the cases with volumes: something that serves them, and a look into guests. */
export interface VolumeTools {
  /** Serves a new volume, removed with the environment. `bootable` holds the guest's system. */
  serve(options?: { bootable?: boolean }): Promise<ServedVolume>;
  /** Every disk of the running guest, as the guest sees it. */
  disksIn(host: string, serverId: string): Promise<SeenDisk[]>;
  /**
   * Blocks that programs in the guest write to a volume one after another, each acknowledged before the next, and read back. Null where
   * volumes hold nothing.
   */
  readonly streams: { in(host: string, serverId: string, volumeId: string): VolumeStream } | null;
}

export interface ServedVolume {
  readonly volumeId: string;
  readonly connection: Connection;
  readonly sizeBytes: number;
  /** Serves it with twice the size, at the same address; returns that. */
  grow(): Promise<number>;
  /** Ends what serves it as `kill -9` would. */
  kill(): Promise<void>;
  /** Serves it again at the same address. */
  revive(): Promise<void>;
  /** A second server of the same volume: every write goes to both, and both hold the same when this returns. */
  mirror(): Promise<Connection>;
  /** Ends the first server and its mirror: the second goes on alone. */
  retire(): Promise<void>;
}

export interface SeenDisk {
  /** `/dev/vdb` */
  readonly device: string;
  readonly serial: string;
  readonly bytes: number;
}

export interface VolumeStream {
  /** Writes from the start of the disk until the guest ends or an error comes. */
  begin(): Promise<void>;
  /** How many blocks the disk has acknowledged since. Fails when the guest saw an error. */
  written(): Promise<number>;
  /** Reads this many blocks back, in the guest; fails unless each is what was written. */
  check(blocks: number): Promise<void>;
}

/** What a guest finds as the serial number of the volume's disk. */
export const serialOf = (volumeId: string): string => volumeId.slice(0, 20);
