// SPDX-License-Identifier: Apache-2.0
// The house's rules for what runs in a cluster: locked pods with probes and limits, and
// names that lead somewhere.

const OURS = /^(registry\.example\/)?blockhouse:/;
const GRACE_S = 30; // --shutdown-deadline (25 s) and some for the kubelet
const UNITS = { Mi: 2 ** 20, Gi: 2 ** 30, m: 0.001, "": 1 };
const ADDRESS = /(?:https?:\/\/|endpoint: )([a-z][a-z0-9.-]*):(\d+)/g;

function collector() {
  const problems = [];
  const expect = (condition, where, what) => condition || problems.push(`${where}: ${what}`);
  return { problems, expect };
}

function quantity(text) {
  const [, number, unit] = /^([\d.]+)(Mi|Gi|m|)$/.exec(text);
  return number * UNITS[unit];
}

function isPartOf(wanted, labels) {
  return Object.entries(wanted).every(([name, value]) => labels?.[name] === value);
}

// pod: securityContext, and volumes by name. What is wrong with a container, a line each.
export function checkContainer(pod, container, where, isJob = false) {
  const { problems, expect } = collector();
  const security = { ...pod.securityContext, ...container.securityContext };
  expect(security.runAsNonRoot === true, where, "may run as root");
  expect(security.readOnlyRootFilesystem === true, where, "may write to its image");
  expect(security.allowPrivilegeEscalation === false, where, "may gain privileges");
  expect(security.privileged !== true, where, "is privileged");
  expect(security.capabilities?.drop?.includes("ALL") && !security.capabilities.add, where, "has capabilities");
  expect(security.seccompProfile?.type === "RuntimeDefault", where, "has no seccomp profile");
  for (const probe of isJob ? [] : ["startupProbe", "livenessProbe", "readinessProbe"]) {
    const port = container[probe]?.httpGet?.port;
    expect(container.ports.some((one) => one.name === port), where, `${probe} has no port`);
  }
  for (const port of container.ports ?? []) expect(port.name, where, "has a port without a name");
  const { requests = {}, limits = {} } = container.resources ?? {};
  expect(requests.cpu && requests.memory && limits.memory, where, "lacks requests or a limit");
  expect(quantity(requests.memory) <= quantity(limits.memory), where, "requests more than its limit");
  for (const mount of container.volumeMounts ?? []) {
    expect(pod.volumes.includes(mount.name), where, `mounts unknown volume ${mount.name}`);
  }
  for (const { name, value } of container.env ?? []) {
    expect(!value || !/KEY|SECRET|PASSWORD|TOKEN/.test(name), where, `has ${name} in plain text`);
  }
  for (const argument of container.args.filter((one) => /^--[\w.-]+=\//.test(one))) {
    expect((container.volumeMounts ?? []).some(({ mountPath }) =>
      `${argument.split("=")[1]}/`.startsWith(`${mountPath}/`)), where, `${argument} is in no volume`);
  }
  return problems;
}

export class Overlay {
  constructor(name, objects) {
    this.name = name;
    this.objects = objects;
    this.workloads = objects.filter(({ kind }) => ["StatefulSet", "Job"].includes(kind));
  }

  of(kind) {
    return this.objects.filter((object) => object.kind === kind);
  }

  find(kind, name) {
    return this.objects.find((object) => object.kind === kind && object.metadata.name === name);
  }

  check() {
    return [...this.workloads.flatMap((one) => this.checkWorkload(one)), ...this.checkSelectors(),
      ...this.checkMonitors(), ...this.checkAddresses()];
  }

  checkWorkload(workload) {
    const { problems, expect } = collector();
    const where = `${this.name}: ${workload.kind} ${workload.metadata.name}`;
    const { metadata, spec } = workload.spec.template;
    const { runAsUser, fsGroup } = spec.securityContext;
    const claims = (workload.spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata.name);
    expect(spec.automountServiceAccountToken === false, where, "mounts an API token");
    expect(this.find("ServiceAccount", spec.serviceAccountName), where, "has no such account");
    expect(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC, where, "is on the host's side");
    expect(runAsUser > 0 && fsGroup > 0, where, "has no user, or none who may write");
    for (const volume of spec.volumes ?? []) {
      expect(!volume.hostPath, where, "mounts a directory of the host");
      expect(this.filesOf(volume) !== undefined, where, `volume ${volume.name} has no source`);
    }
    if (workload.kind === "StatefulSet") {
      expect(spec.terminationGracePeriodSeconds >= GRACE_S, where, "is killed before it can stop");
      expect(isPartOf(workload.spec.selector.matchLabels, metadata.labels), where, "does not select its pods");
      expect(this.find("Service", workload.spec.serviceName), where, "has no such service");
    }
    for (const { podAffinityTerm: { labelSelector } } of
      spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
      expect(isPartOf(labelSelector.matchLabels, metadata.labels), where, "avoids others than itself");
    }
    const volumes = [...(spec.volumes ?? []).map((volume) => volume.name), ...claims];
    for (const container of spec.containers) {
      problems.push(...checkContainer({ ...spec, volumes }, container, `${where}, ${container.name}`,
        workload.kind === "Job"));
      for (const { secretRef } of container.envFrom ?? []) {
        expect(this.find("Secret", secretRef.name), where, `has no Secret ${secretRef.name}`);
      }
      for (const path of this.missingFiles(spec, container)) expect(false, where, `nothing is at ${path}`);
    }
    return problems;
  }

  // {name: content} of a volume, {} of one that is empty at first, undefined of a wrong one.
  filesOf(volume) {
    if (!volume || volume.emptyDir) return {};
    if (volume.configMap) return this.find("ConfigMap", volume.configMap.name)?.data;
    const data = this.find("Secret", volume.secret?.secretName)?.data;
    return data && Object.fromEntries(Object.entries(data)
      .map(([name, value]) => [name, Buffer.from(value, "base64").toString()]));
  }

  missingFiles(spec, container) {
    return (container.volumeMounts ?? []).filter((mount) => mount.readOnly).flatMap((mount) => {
      const files = this.filesOf(spec.volumes.find(({ name }) => name === mount.name)) ?? {};
      return container.args.map((one) => one.split("=")[1] ?? "")
        .filter((path) => path.startsWith(`${mount.mountPath}/`))
        .filter((path) => !(path.slice(mount.mountPath.length + 1) in files));
    });
  }

  selected(labels) {
    return this.workloads.filter(({ spec }) => isPartOf(labels, spec.template.metadata?.labels))
      .map((workload) => workload.spec.template.spec);
  }

  checkSelectors() {
    const { problems, expect } = collector();
    const portsOf = (pods) => pods.flatMap((pod) => pod.containers).flatMap((one) => one.ports ?? [])
      .map((port) => port.name);
    for (const service of this.of("Service")) {
      const where = `${this.name}: Service ${service.metadata.name}`;
      const pods = this.selected(service.spec.selector);
      expect(pods.length === 1, where, `selects ${pods.length} kinds of pods`);
      for (const { name, targetPort } of service.spec.ports) {
        expect(name && portsOf(pods).includes(targetPort), where, `nothing has port ${targetPort}`);
      }
    }
    for (const policy of this.of("NetworkPolicy")) {
      const where = `${this.name}: NetworkPolicy ${policy.metadata.name}`;
      const pods = this.selected(policy.spec.podSelector.matchLabels);
      for (const { port } of policy.spec.ingress.flatMap((rule) => rule.ports)) {
        expect(portsOf(pods).includes(port), where, `nothing has port ${port}`);
      }
    }
    for (const budget of this.of("PodDisruptionBudget")) {
      expect(this.selected(budget.spec.selector.matchLabels).length === 1,
        `${this.name}: PodDisruptionBudget ${budget.metadata.name}`, "is not for one kind of pods");
    }
    return problems;
  }

  checkMonitors() {
    const { problems, expect } = collector();
    for (const { metadata, spec } of this.of("ServiceMonitor")) {
      const services = this.of("Service").filter((one) => isPartOf(spec.selector.matchLabels, one.metadata.labels));
      for (const { port } of spec.endpoints) {
        expect(services.length > 0 && services.every((service) => service.spec.ports.some(({ name }) => name === port)),
          `${this.name}: ServiceMonitor ${metadata.name}`, `no service has port ${port}`);
      }
    }
    for (const { metadata, spec } of this.of("Prometheus")) {
      const { name, key } = spec.thanos.objectStorageConfig ?? {};
      const where = `${this.name}: Prometheus ${metadata.name}`;
      expect(this.find("Secret", name)?.data[key], where, `no ${key} in ${name}`);
      expect(OURS.test(spec.thanos.image), where, `runs ${spec.thanos.image}`);
    }
    return problems;
  }

  // Who is asked inside of the namespace is there.
  checkAddresses() {
    const { problems, expect } = collector();
    const decoded = this.of("Secret").flatMap(({ data }) => Object.values(data))
      .map((value) => Buffer.from(value, "base64").toString());
    for (const [, host, port] of [JSON.stringify(this.objects), ...decoded].join("\n").matchAll(ADDRESS)) {
      if (host === "localhost" || host.includes(".")) continue;
      const service = this.find("Service", host);
      expect(service?.spec.ports.some((one) => String(one.port) === port), this.name,
        `no service answers at ${host}:${port}`);
    }
    return problems;
  }
}

// The containers of an overlay, as a cluster would start them: env with values, and mounts
// as {path, files}.
export function containersOf(overlay) {
  return overlay.workloads.flatMap((workload) => {
    const { metadata = {}, spec } = workload.spec.template;
    return spec.containers.map((container) => ({
      overlay: overlay.name, set: workload.metadata.name, name: container.name,
      ours: OURS.test(container.image), command: container.command ?? [], args: container.args,
      env: environmentOf(overlay, { ...metadata, name: `${workload.metadata.name}-0` }, container),
      mounts: (container.volumeMounts ?? []).map((mount) => ({
        path: mount.mountPath, volume: mount.name,
        files: overlay.filesOf((spec.volumes ?? []).find(({ name }) => name === mount.name)),
      })),
    }));
  });
}

function environmentOf(overlay, metadata, container) {
  const fields = Object.fromEntries((container.env ?? []).map(({ name, valueFrom }) => {
    const { fieldPath } = valueFrom.fieldRef;
    const label = /^metadata\.labels\['(.*)'\]$/.exec(fieldPath);
    return [name, label ? metadata.labels[label[1]] : metadata[fieldPath.split(".")[1]]];
  }));
  const secrets = (container.envFrom ?? []).flatMap(({ secretRef }) =>
    Object.entries(overlay.find("Secret", secretRef.name)?.data ?? {})
      .map(([name, value]) => [name, Buffer.from(value, "base64").toString()]));
  return { ...Object.fromEntries(secrets), ...fields };
}
