// Decodes Kubernetes manifests from standard input with the API's own types; a field that they do not know is an error.
package main

import (
	"bufio"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"v1 ConfigMap":                           func() any { return &corev1.ConfigMap{} },
	"v1 Namespace":                           func() any { return &corev1.Namespace{} },
	"v1 Service":                             func() any { return &corev1.Service{} },
	"apps/v1 Deployment":                     func() any { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"batch/v1 Job":                           func() any { return &batchv1.Job{} },
	"networking.k8s.io/v1 Ingress":           func() any { return &networkingv1.Ingress{} },
	"networking.k8s.io/v1 NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
}

// check says what is wrong with one document; an object of others (a custom resource) is "unknown".
func check(document []byte) (string, error) {
	var head metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(document, &head); err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s %s %s", head.APIVersion, head.Kind, head.Name)
	make, known := kinds[head.APIVersion+" "+head.Kind]
	if !known {
		return name, fmt.Errorf("unknown to this version")
	}
	return name, yaml.UnmarshalStrict(document, make())
}

func main() {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	count, wrong := 0, 0
	for {
		document, err := reader.Read()
		if err != nil {
			break
		}
		count++
		if name, err := check(document); err != nil {
			fmt.Printf("%s: %v\n", name, err)
			wrong++
		}
	}
	fmt.Printf("%d objects, %d wrong\n", count, wrong)
	if count == 0 || wrong > 0 {
		os.Exit(1)
	}
}
