#!/usr/bin/env python3
"""What is shipped for Kubernetes grants what the unit grants, names what there is, and counts by pod as promtool says."""

import copy
import re
import unittest

from kubernetes_schema import Types
from shipped import *


def load(name):
    return yaml.safe_load((KUBERNETES / name).read_text())


class Kubernetes(unittest.TestCase):
    def test_the_container_has_the_rights_of_the_unit_and_no_others(self):
        pod = load("daemonset.yaml")["spec"]["template"]["spec"]
        container, = pod["containers"]
        confined = container["securityContext"]
        unit = (ROOT / "systemd/conntally.service").read_text()
        granted = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)[1].split()
        self.assertEqual([f"CAP_{name}" for name in confined["capabilities"]["add"]], granted)
        self.assertEqual(confined["capabilities"]["drop"], ["ALL"])
        self.assertTrue(confined["readOnlyRootFilesystem"] and not confined["allowPrivilegeEscalation"])
        self.assertTrue(pod["hostNetwork"] and not pod["automountServiceAccountToken"])

    def test_a_server_would_take_it(self):
        types, daemonset = Types(), load("daemonset.yaml")
        self.assertEqual(types.faults("V1DaemonSet", daemonset), [])
        faulty = {"replicas is unknown": ("spec", "replicas", 1), "selector is missing": ("spec", "selector", None), "is no list": ("spec", "template", "spec", "tolerations", {}),
                  "is no bool": ("spec", "template", "spec", "hostNetwork", "yes"), "is no str": ("metadata", "labels", "app", 1)}
        for named, (*way, key, value) in faulty.items():
            broken = copy.deepcopy(daemonset)
            place = broken
            for step in way:
                place = place[step]
            place[key] = value
            if value is None:
                del place[key]
            found, = types.faults("V1DaemonSet", broken)
            self.assertIn(named, found)

    def test_the_selectors_labels_and_ports_meet(self):
        daemonset, monitor = load("daemonset.yaml"), load("podmonitor.yaml")
        template = daemonset["spec"]["template"]
        labels = template["metadata"]["labels"]
        self.assertEqual(daemonset["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(monitor["spec"]["selector"]["matchLabels"], labels)
        container, = template["spec"]["containers"]
        port, = container["ports"]
        self.assertEqual(monitor["spec"]["podMetricsEndpoints"][0]["port"], port["name"])
        self.assertTrue(container["args"][1].endswith(f":{port['containerPort']}"))
        for probe in ("readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["httpGet"]["port"], port["name"])

    def test_kustomize_finds_its_resources(self):
        for resource in load("kustomization.yaml")["resources"]:
            self.assertTrue((KUBERNETES / resource).is_file(), resource)

    def test_the_image_has_the_version_of_the_tree(self):
        version = re.search(r"project\(conntally VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        image = load("daemonset.yaml")["spec"]["template"]["spec"]["containers"][0]["image"]
        self.assertEqual(image, f"conntally:{version}")
        self.assertIn(f"\nconntally ({version}) ", "\n" + (ROOT / "debian/changelog").read_text().splitlines()[0] + " ")

    def test_connections_are_counted_by_pod(self):
        self.assertIn("SUCCESS", tool("promtool", "test", "rules", KUBERNETES / "tests/recording-rules.yaml"))


unittest.main()
