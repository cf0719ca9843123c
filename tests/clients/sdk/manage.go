// Drives the management API with the published Go libraries; each step prints a line.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func told(what string, good bool) {
	if !good {
		fmt.Fprintln(os.Stderr, "not so:", what)
		os.Exit(1)
	}
	fmt.Println(what)
}

func done[T any](poller *runtime.Poller[T], err error) T {
	return must(must(poller, err).PollUntilDone(context.Background(),
		&runtime.PollUntilDoneOptions{Frequency: time.Second}))
}

func main() {
	ctx := context.Background()
	management, subscription := os.Getenv("PORTOLAN_MANAGEMENT"), os.Getenv("AZURE_SUBSCRIPTION_ID")
	group, name := os.Args[1], os.Args[2]
	options := azcore.ClientOptions{Cloud: cloud.Configuration{
		ActiveDirectoryAuthorityHost: os.Getenv("AZURE_AUTHORITY_HOST"),
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: management, Audience: management},
		},
	}}
	credential := must(azidentity.NewClientSecretCredential(os.Getenv("AZURE_TENANT_ID"),
		os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_CLIENT_SECRET"),
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: true}))
	armOptions := &arm.ClientOptions{ClientOptions: options}
	groups := must(armresources.NewResourceGroupsClient(subscription, credential, armOptions))
	acr := must(armcontainerregistry.NewClientFactory(subscription, credential, armOptions))

	must(groups.CreateOrUpdate(ctx, group, armresources.ResourceGroup{
		Location: to.Ptr("eastus")}, nil))
	told("group create", must(groups.CheckExistence(ctx, group, nil)).Success)

	registries := acr.NewRegistriesClient()
	made := done(registries.BeginCreate(ctx, group, name, armcontainerregistry.Registry{
		Location: to.Ptr("eastus"),
		SKU:      &armcontainerregistry.SKU{Name: to.Ptr(armcontainerregistry.SKUNamePremium)},
		Properties: &armcontainerregistry.RegistryProperties{
			AdminUserEnabled: to.Ptr(true)},
	}, nil))
	told("registry create", *made.Properties.ProvisioningState ==
		armcontainerregistry.ProvisioningStateSucceeded)
	changed := done(registries.BeginUpdate(ctx, group, name,
		armcontainerregistry.RegistryUpdateParameters{
			Tags: map[string]*string{"x": to.Ptr("y")}}, nil))
	told("registry update", *changed.Tags["x"] == "y")
	told("registry get", *must(registries.Get(ctx, group, name, nil)).Name == name)
	told("registry list", len(must(registries.NewListByResourceGroupPager(group, nil).
		NextPage(ctx)).Value) == 1)
	told("usages", len(must(registries.ListUsages(ctx, group, name, nil)).Value) > 3)
	told("credentials", len(must(registries.ListCredentials(ctx, group, name, nil)).Passwords) == 2)

	maps := acr.NewScopeMapsClient()
	scopeMap := done(maps.BeginCreate(ctx, group, name, "mymap", armcontainerregistry.ScopeMap{
		Properties: &armcontainerregistry.ScopeMapProperties{
			Actions: []*string{to.Ptr("repositories/app/content/read")}}}, nil))
	told("scope map create", *scopeMap.Name == "mymap")
	told("scope map list", len(must(maps.NewListPager(group, name, nil).NextPage(ctx)).Value) > 0)
	tokens := acr.NewTokensClient()
	token := done(tokens.BeginCreate(ctx, group, name, "mytoken", armcontainerregistry.Token{
		Properties: &armcontainerregistry.TokenProperties{ScopeMapID: scopeMap.ID,
			Status: to.Ptr(armcontainerregistry.TokenStatusEnabled)}}, nil))
	told("token create", *token.Properties.ScopeMapID == *scopeMap.ID)
	disabled := done(tokens.BeginUpdate(ctx, group, name, "mytoken",
		armcontainerregistry.TokenUpdateParameters{
			Properties: &armcontainerregistry.TokenUpdateProperties{
				Status: to.Ptr(armcontainerregistry.TokenStatusDisabled)}}, nil))
	told("token update", *disabled.Properties.Status == armcontainerregistry.TokenStatusDisabled)
	secrets := done(registries.BeginGenerateCredentials(ctx, group, name,
		armcontainerregistry.GenerateCredentialsParameters{TokenID: token.ID}, nil))
	told("generate credentials", len(secrets.Passwords) == 2)
	replicas := acr.NewReplicationsClient()
	replica := done(replicas.BeginCreate(ctx, group, name, "westeurope",
		armcontainerregistry.Replication{Location: to.Ptr("westeurope")}, nil))
	told("replication create", *replica.Name == "westeurope")
	webhooks := acr.NewWebhooksClient()
	hook := done(webhooks.BeginCreate(ctx, group, name, "myhook",
		armcontainerregistry.WebhookCreateParameters{Location: to.Ptr("eastus"),
			Properties: &armcontainerregistry.WebhookPropertiesCreateParameters{
				ServiceURI: to.Ptr("https://example.org/hook"),
				Status:     to.Ptr(armcontainerregistry.WebhookStatusDisabled),
				Actions: []*armcontainerregistry.WebhookAction{
					to.Ptr(armcontainerregistry.WebhookActionPush)}}}, nil))
	told("webhook create", *hook.Name == "myhook")

	secret := to.Ptr("https://v.vault.example/secrets/s")
	sets := acr.NewCredentialSetsClient()
	set := done(sets.BeginCreate(ctx, group, name, "mycreds", armcontainerregistry.CredentialSet{
		Properties: &armcontainerregistry.CredentialSetProperties{LoginServer: to.Ptr("docker.io"),
			AuthCredentials: []*armcontainerregistry.AuthCredential{{
				Name:                     to.Ptr(armcontainerregistry.CredentialNameCredential1),
				UsernameSecretIdentifier: secret, PasswordSecretIdentifier: secret}}}}, nil))
	told("credential set create", *set.Properties.LoginServer == "docker.io")
	other := to.Ptr("https://v.vault.example/secrets/t")
	set2 := done(sets.BeginUpdate(ctx, group, name, "mycreds",
		armcontainerregistry.CredentialSetUpdateParameters{
			Properties: &armcontainerregistry.CredentialSetUpdateProperties{
				AuthCredentials: []*armcontainerregistry.AuthCredential{{
					Name:                     to.Ptr(armcontainerregistry.CredentialNameCredential1),
					UsernameSecretIdentifier: other, PasswordSecretIdentifier: other}}}}, nil))
	told("credential set update",
		*set2.Properties.AuthCredentials[0].UsernameSecretIdentifier == *other)
	told("credential set list", len(must(sets.NewListPager(group, name, nil).
		NextPage(ctx)).Value) == 1)
	rules := acr.NewCacheRulesClient()
	rule := done(rules.BeginCreate(ctx, group, name, "myrule", armcontainerregistry.CacheRule{
		Properties: &armcontainerregistry.CacheRuleProperties{
			SourceRepository: to.Ptr("docker.io/library/alpine"),
			TargetRepository: to.Ptr("alpine")}}, nil))
	told("cache rule create", *rule.Name == "myrule")
	rule2 := done(rules.BeginUpdate(ctx, group, name, "myrule",
		armcontainerregistry.CacheRuleUpdateParameters{
			Properties: &armcontainerregistry.CacheRuleUpdateProperties{
				CredentialSetResourceID: set.ID}}, nil))
	told("cache rule update", *rule2.Properties.CredentialSetResourceID == *set.ID)
	told("cache rule get", *must(rules.Get(ctx, group, name, "myrule", nil)).ID == *rule.ID)

	pools := acr.NewAgentPoolsClient()
	pool := done(pools.BeginCreate(ctx, group, name, "mypool", armcontainerregistry.AgentPool{
		Location: to.Ptr("eastus"), Properties: &armcontainerregistry.AgentPoolProperties{
			Tier: to.Ptr("S1"), Count: to.Ptr[int32](1)}}, nil))
	told("agent pool create", *pool.Properties.Tier == "S1")
	pool2 := done(pools.BeginUpdate(ctx, group, name, "mypool",
		armcontainerregistry.AgentPoolUpdateParameters{
			Properties: &armcontainerregistry.AgentPoolPropertiesUpdateParameters{
				Count: to.Ptr[int32](2)}}, nil))
	told("agent pool update", *pool2.Properties.Count == 2)
	told("agent pool list", len(must(pools.NewListPager(group, name, nil).
		NextPage(ctx)).Value) == 1)
	tasks := acr.NewTasksClient()
	platform := &armcontainerregistry.PlatformProperties{OS: to.Ptr(armcontainerregistry.OSLinux)}
	task := done(tasks.BeginCreate(ctx, group, name, "mytask", armcontainerregistry.Task{
		Location: to.Ptr("eastus"), Properties: &armcontainerregistry.TaskProperties{
			Platform: platform, Step: &armcontainerregistry.EncodedTaskStep{
				Type:               to.Ptr(armcontainerregistry.StepTypeEncodedTask),
				EncodedTaskContent: to.Ptr("eA==")}}}, nil))
	told("task create", *task.Name == "mytask")
	task2 := done(tasks.BeginUpdate(ctx, group, name, "mytask",
		armcontainerregistry.TaskUpdateParameters{
			Properties: &armcontainerregistry.TaskPropertiesUpdateParameters{
				Status: to.Ptr(armcontainerregistry.TaskStatusDisabled)}}, nil))
	told("task update", *task2.Properties.Status == armcontainerregistry.TaskStatusDisabled)
	told("task list", len(must(tasks.NewListPager(group, name, nil).NextPage(ctx)).Value) == 1)
	request := &armcontainerregistry.EncodedTaskRunRequest{
		Type: to.Ptr("EncodedTaskRunRequest"), EncodedTaskContent: to.Ptr("eA=="),
		Platform: platform}
	run := done(registries.BeginScheduleRun(ctx, group, name, request, nil))
	runs := acr.NewRunsClient()
	told("run schedule", *run.Properties.Status == armcontainerregistry.RunStatusFailed)
	run2 := done(runs.BeginUpdate(ctx, group, name, *run.Name,
		armcontainerregistry.RunUpdateParameters{IsArchiveEnabled: to.Ptr(true)}, nil))
	told("run update", *run2.Properties.IsArchiveEnabled)
	done(runs.BeginCancel(ctx, group, name, *run.Name, nil))
	told("run list", len(must(runs.NewListPager(group, name, nil).NextPage(ctx)).Value) == 1)
	taskRuns := acr.NewTaskRunsClient()
	poller := must(taskRuns.BeginCreate(ctx, group, name, "myrun", armcontainerregistry.TaskRun{
		Properties: &armcontainerregistry.TaskRunProperties{RunRequest: request}}, nil))
	_, err := poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
	told("task run create says that nothing runs", err != nil)
	told("task run list", len(must(taskRuns.NewListPager(group, name, nil).
		NextPage(ctx)).Value) == 1)
	told("private endpoint connection list", len(must(acr.NewPrivateEndpointConnectionsClient().
		NewListPager(group, name, nil).NextPage(ctx)).Value) == 0)

	done(taskRuns.BeginDelete(ctx, group, name, "myrun", nil))
	done(tasks.BeginDelete(ctx, group, name, "mytask", nil))
	done(pools.BeginDelete(ctx, group, name, "mypool", nil))
	done(rules.BeginDelete(ctx, group, name, "myrule", nil))
	done(sets.BeginDelete(ctx, group, name, "mycreds", nil))
	done(webhooks.BeginDelete(ctx, group, name, "myhook", nil))
	done(replicas.BeginDelete(ctx, group, name, "westeurope", nil))
	done(tokens.BeginDelete(ctx, group, name, "mytoken", nil))
	done(maps.BeginDelete(ctx, group, name, "mymap", nil))
	told("children delete", len(must(tokens.NewListPager(group, name, nil).
		NextPage(ctx)).Value) == 0)
	done(registries.BeginDelete(ctx, group, name, nil))
	told("registry delete", len(must(registries.NewListByResourceGroupPager(group, nil).
		NextPage(ctx)).Value) == 0)
	done(groups.BeginDelete(ctx, group, nil))
	told("group delete", !must(groups.CheckExistence(ctx, group, nil)).Success)
}
