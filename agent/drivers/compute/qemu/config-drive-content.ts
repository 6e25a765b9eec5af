import type { GuestSpec, Nic } from "../../../protocol/compute.ts";

/** A file of the config drive: path within the drive and content. */
export interface DriveFile {
  path: string;
  content: string | Buffer;
}

/**
 * What a guest learns from its config drive: OpenStack's layout for stock images (cloud-init), and `net.conf` with
 * `hostname` for guests that cannot read JSON. The same spec gives the same files on every host.
 */
export function configDriveFiles(spec: GuestSpec): DriveFile[] {
  const files: DriveFile[] = [
    { path: "hostname", content: `${spec.hostname}\n` },
    { path: "net.conf", content: netConf(spec.nics) },
    { path: "openstack/latest/meta_data.json", content: JSON.stringify(metaData(spec)) },
    { path: "openstack/latest/network_data.json", content: JSON.stringify(networkData(spec.nics)) },
  ];
  if (spec.userData !== null) {
    files.push({ path: "openstack/latest/user_data", content: Buffer.from(spec.userData, "base64") });
  }
  return files;
}

/** One fact per line: MAC, key, value. */
export function netConf(nics: readonly Nic[]): string {
  const lines = nics.flatMap((nic) => {
    const gateways = nic.fixedIps.flatMap((ip) => (ip.gateway === null ? [] : [`gateway ${ip.gateway}`]));
    const facts = [
      `mtu ${nic.mtu}`,
      ...nic.fixedIps.map((ip) => `address ${ip.address}/${ip.prefix}`),
      ...new Set(gateways),
      ...nic.dnsServers.map((server) => `dns ${server}`),
    ];
    return nic.fixedIps.length === 0 ? [] : facts.map((fact) => `${nic.mac} ${fact}\n`);
  });
  return lines.join("");
}

function metaData(spec: GuestSpec): object {
  return {
    uuid: spec.serverId,
    name: spec.hostname,
    hostname: spec.hostname,
    meta: spec.metadata,
    public_keys: Object.fromEntries(spec.publicKeys.map(({ name, key }) => [name, key])),
    keys: spec.publicKeys.map(({ name, key }) => ({ name, type: "ssh", data: key })),
  };
}

/** The form that OpenStack's metadata service publishes as network_data.json. */
export function networkData(nics: readonly Nic[]): object {
  return {
    links: nics.map((nic) => ({
      id: `tap${nic.portId.slice(0, 11)}`,
      vif_id: nic.portId,
      type: "bridge",
      mtu: nic.mtu,
      ethernet_mac_address: nic.mac,
    })),
    networks: nics.flatMap((nic) => {
      const link = `tap${nic.portId.slice(0, 11)}`;
      const common = { link, network_id: nic.networkId };
      if (nic.fixedIps.length === 0) return [{ id: `dhcp-${link}`, type: "ipv4_dhcp", ...common }];
      return nic.fixedIps.map((ip, index) => addressEntry(`${link}-${index}`, ip, common));
    }),
    services: [...new Set(nics.flatMap((nic) => nic.dnsServers))].map((address) => ({ type: "dns", address })),
  };
}

function addressEntry(id: string, ip: Nic["fixedIps"][number], common: object): object {
  const v6 = ip.address.includes(":");
  const anywhere = v6 ? { network: "::", netmask: "::" } : { network: "0.0.0.0", netmask: "0.0.0.0" };
  return {
    id,
    type: v6 ? "ipv6" : "ipv4",
    ...common,
    ip_address: ip.address,
    netmask: v6 ? netmask6(ip.prefix) : netmask4(ip.prefix),
    routes: ip.gateway === null ? [] : [{ ...anywhere, gateway: ip.gateway }],
  };
}

function netmask4(prefix: number): string {
  return bits(prefix, 32, 8).join(".");
}

function netmask6(prefix: number): string {
  return bits(prefix, 128, 16)
    .map((group) => group.toString(16))
    .join(":");
}

/** A mask of `prefix` ones, cut into numbers of `size` bits. */
function bits(prefix: number, width: number, size: number): number[] {
  const mask = "1".repeat(prefix).padEnd(width, "0");
  return Array.from({ length: width / size }, (_, i) => Number.parseInt(mask.slice(i * size, (i + 1) * size), 2));
}
