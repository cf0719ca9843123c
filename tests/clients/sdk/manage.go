// Drives the management API with the published Go libraries: a resource of each type, with what the library
// of registries has for it, by its id with the library of resources where it has nothing; then the actions.
// Each line tells what went well: "scopeMaps create", "vaults create by id". A type's client is found by its
// name, and its parameters are read from JSON into whatever struct the library takes.
//
//	client CASES (see test_sdk_manage.py)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	acr "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerregistry/armcontainerregistry"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

type kind struct {
	Kind, Type, ID, API string
	Names               []string
	Body, Patch         json.RawMessage
	Fails               *string
	Typed, Listed, Kept bool
	ReadOnly            bool `json:"read_only"`
}

type library struct {
	cases struct {
		Group, Registry string
		Run             json.RawMessage
		Kinds           []*kind
	}
	acr       *acr.ClientFactory
	resources *armresources.ClientFactory
}

var ctx = context.Background()
var often = &runtime.PollUntilDoneOptions{Frequency: time.Second}

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
	return must(must(poller, err).PollUntilDone(ctx, often))
}

func page[T any](pager *runtime.Pager[T]) T {
	return must(pager.NextPage(ctx))
}

// A client of the library, by the name of its type; not valid where the library has none.
func (l *library) client(name string) reflect.Value {
	factory := reflect.ValueOf(l.acr)
	if m := factory.MethodByName("New" + strings.ToUpper(name[:1]) + name[1:] + "Client"); m.IsValid() {
		return m.Call(nil)[0]
	}
	return reflect.Value{}
}

// Calls the first of the methods there is. What is left of its parameters after the given ones are a body,
// where the method takes one, and options.
func call(client reflect.Value, methods string, args []string, body json.RawMessage) (reflect.Value, error) {
	for _, word := range strings.Fields(methods) {
		for _, name := range []string{"Begin" + word, word} {
			method := client.MethodByName(name)
			if !method.IsValid() {
				continue
			}
			in := []reflect.Value{}
			if method.Type().In(0) == reflect.TypeOf((*context.Context)(nil)).Elem() {
				in = append(in, reflect.ValueOf(ctx))
			}
			for _, arg := range args {
				in = append(in, reflect.ValueOf(arg).Convert(method.Type().In(len(in))))
			}
			if len(in) < method.Type().NumIn()-1 {
				given := reflect.New(method.Type().In(len(in)))
				if given.Elem().Kind() == reflect.Interface { // of several requests, this one
					given.Elem().Set(reflect.ValueOf(&acr.EncodedTaskRunRequest{}))
				}
				if err := json.Unmarshal(body, given.Interface()); err != nil {
					return reflect.Value{}, err
				}
				in = append(in, given.Elem())
			}
			in = append(in, reflect.Zero(method.Type().In(len(in))))
			return finished(method.Call(in))
		}
	}
	return reflect.Value{}, fmt.Errorf("no %s in %s", methods, client.Type())
}

// What was answered in the end: a poller is asked until it is done; of a pager all pages are read.
func finished(out []reflect.Value) (reflect.Value, error) {
	if len(out) == 1 {
		rows := reflect.Value{}
		for out[0].MethodByName("More").Call(nil)[0].Bool() {
			got := out[0].MethodByName("NextPage").Call([]reflect.Value{reflect.ValueOf(ctx)})
			if !got[1].IsNil() {
				return reflect.Value{}, got[1].Interface().(error)
			}
			page := got[0].FieldByName("Value")
			if !rows.IsValid() {
				rows = page
			} else {
				rows = reflect.AppendSlice(rows, page)
			}
		}
		return rows, nil
	}
	if !out[1].IsNil() {
		return reflect.Value{}, out[1].Interface().(error)
	}
	if wait := out[0].MethodByName("PollUntilDone"); wait.IsValid() {
		return finished(wait.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(often)}))
	}
	return out[0], nil
}

func id(answer reflect.Value) string {
	return *reflect.Indirect(answer).FieldByName("ID").Interface().(*string)
}

func holds(got, sent any) bool {
	wanted, is := sent.(map[string]any)
	if !is {
		return reflect.DeepEqual(got, sent)
	}
	members, _ := got.(map[string]any)
	for name, value := range wanted {
		if !holds(members[name], value) {
			return false
		}
	}
	return true
}

func parsed(text []byte) (value any) {
	must(value, json.Unmarshal(text, &value))
	return value
}

// The ways to drive a type: with its own client, or by its id.
func (l *library) do(k *kind, verb string, body json.RawMessage) (reflect.Value, error) {
	if client := l.own(k); client.IsValid() {
		methods := map[string]string{"create": "Create CreateOrUpdate", "get": "Get", "update": "Update",
			"list": "NewListByResourceGroupPager NewListPager", "delete": "Delete"}[verb]
		args := append([]string{l.cases.Group, l.cases.Registry}, k.Names...)
		if verb == "list" {
			args = args[:len(args)-1]
		}
		return call(client, methods, args, body)
	}
	client := reflect.ValueOf(l.resources.NewClient())
	if verb == "list" {
		options := &armresources.ClientListByResourceGroupOptions{
			Filter: to.Ptr("resourceType eq '" + k.Type + "'")}
		return finished([]reflect.Value{reflect.ValueOf(
			l.resources.NewClient().NewListByResourceGroupPager(l.cases.Group, options))})
	}
	return call(client, map[string]string{"create": "CreateOrUpdateByID", "get": "GetByID",
		"update": "UpdateByID", "delete": "DeleteByID"}[verb], []string{k.ID, k.API}, body)
}

func (l *library) own(k *kind) reflect.Value {
	if !k.Typed {
		return reflect.Value{}
	}
	return l.client(k.Kind)
}

func (l *library) line(k *kind, verb string) string {
	if l.own(k).IsValid() {
		return k.Kind + " " + verb
	}
	return k.Kind + " " + verb + " by id"
}

// Puts in the names that the service gave.
func (l *library) resolve(k *kind) {
	if strings.Contains(k.ID, "{C}") {
		made := page(l.acr.NewPrivateEndpointConnectionsClient().NewListPager(
			l.cases.Group, l.cases.Registry, nil)).Value[0]
		k.ID, k.Names = *made.ID, []string{*made.Name}
	}
	if strings.Contains(k.ID, "{N}") {
		k.ID = id(must(l.do(k, "list", nil)).Index(0))
	}
}

func (l *library) write(k *kind, verb string, body json.RawMessage) {
	answer, err := l.do(k, verb, body)
	if k.Fails != nil { // what is taken and not carried out fails, and says so
		told(l.line(k, verb), err != nil && strings.Contains(err.Error(), *k.Fails))
		return
	}
	must(0, err)
	shown := must(json.Marshal(answer.Field(0).Interface()))
	told(l.line(k, verb), strings.EqualFold(id(answer), k.ID) &&
		(verb == "create" || holds(parsed(shown), parsed(body))))
}

func (l *library) make(k *kind) {
	l.resolve(k)
	if !k.ReadOnly {
		l.write(k, "create", k.Body)
	}
	told(l.line(k, "get"), strings.EqualFold(id(must(l.do(k, "get", nil))), k.ID))
	if string(k.Patch) != "null" {
		l.write(k, "update", k.Patch)
	}
	if k.Listed || l.own(k).IsValid() {
		rows, has := must(l.do(k, "list", nil)), false
		for i := 0; i < rows.Len(); i++ {
			has = has || strings.EqualFold(id(rows.Index(i)), k.ID)
		}
		told(l.line(k, "list"), has)
	}
}

func (l *library) remove(k *kind) {
	must(l.do(k, "delete", nil))
	_, err := l.do(k, "get", nil)
	told(l.line(k, "delete"), err != nil && strings.Contains(err.Error(), "404"))
}

func (l *library) name(kind string) string {
	for _, k := range l.cases.Kinds {
		if k.Kind == kind {
			return k.Names[0]
		}
	}
	panic(kind)
}

func (l *library) actOnRegistry() {
	group, name := l.cases.Group, l.cases.Registry
	registries := l.acr.NewRegistriesClient()
	registry := must(registries.Get(ctx, group, name, nil))
	has := false
	for _, one := range page(registries.NewListPager(nil)).Value {
		has = has || *one.Name == name
	}
	told("registries listAll", has)
	told("registries listUsages", len(must(registries.ListUsages(ctx, group, name, nil)).Value) > 3)
	done(registries.BeginUpdate(ctx, group, name, acr.RegistryUpdateParameters{
		Properties: &acr.RegistryPropertiesUpdateParameters{AdminUserEnabled: to.Ptr(true)}}, nil))
	told("registries listCredentials",
		len(must(registries.ListCredentials(ctx, group, name, nil)).Passwords) == 2)
	told("registries regenerateCredential", len(must(registries.RegenerateCredential(ctx, group, name,
		acr.RegenerateCredentialParameters{Name: to.Ptr(acr.PasswordNamePassword2)}, nil)).Passwords) == 2)
	link := page(registries.NewListPrivateLinkResourcesPager(group, name, nil)).Value[0]
	told("registries listPrivateLinkResources", *link.Name == "registry")
	told("registries getPrivateLinkResource",
		*must(registries.GetPrivateLinkResource(ctx, group, name, "registry", nil)).ID == *link.ID)
	token := must(l.acr.NewTokensClient().Get(ctx, group, name, l.name("tokens"), nil))
	told("registries generateCredentials", len(done(registries.BeginGenerateCredentials(ctx, group, name,
		acr.GenerateCredentialsParameters{TokenID: token.ID}, nil)).Passwords) == 2)
	poller := must(registries.BeginImportImage(ctx, group, name, acr.ImportImageParameters{
		Source: &acr.ImportSource{ResourceID: registry.ID, SourceImage: to.Ptr("no/such:image")}}, nil))
	_, err := poller.PollUntilDone(ctx, often)
	told("registries importImage", err != nil && strings.Contains(err.Error(), "SourceImageNotFound"))
	has = false
	for _, one := range page(l.acr.NewOperationsClient().NewListPager(nil)).Value {
		has = has || strings.HasSuffix(*one.Name, "registries/read")
	}
	told("operations list", has)
}

func (l *library) actOnChildren() {
	group, name, hook := l.cases.Group, l.cases.Registry, l.name("webhooks")
	webhooks := l.acr.NewWebhooksClient()
	told("webhooks getCallbackConfig",
		must(webhooks.GetCallbackConfig(ctx, group, name, hook, nil)).ServiceURI != nil)
	told("webhooks ping", must(webhooks.Ping(ctx, group, name, hook, nil)).ID != nil)
	told("webhooks listEvents", len(page(webhooks.NewListEventsPager(group, name, hook, nil)).Value) == 1)
	if connected := l.client("connectedRegistries"); connected.IsValid() {
		must(call(connected, "Deactivate", []string{group, name, l.name("connectedRegistries")}, nil))
		told("connectedRegistries deactivate", true)
	}
}

func (l *library) actOnTasks() {
	group, name := l.cases.Group, l.cases.Registry
	told("agentPools getQueueStatus", *must(l.acr.NewAgentPoolsClient().GetQueueStatus(
		ctx, group, name, l.name("agentPools"), nil)).Count == 0)
	details := must(l.acr.NewTasksClient().GetDetails(ctx, group, name, l.name("tasks"), nil))
	told("tasks getDetails", *details.Properties.Step.GetTaskStepProperties().Type == acr.StepTypeEncodedTask)
	told("taskRuns getDetails", must(l.acr.NewTaskRunsClient().GetDetails(
		ctx, group, name, l.name("taskRuns"), nil)).ID != nil)
	registries, runs := l.acr.NewRegistriesClient(), l.acr.NewRunsClient()
	told("registries getBuildSourceUploadUrl",
		must(registries.GetBuildSourceUploadURL(ctx, group, name, nil)).UploadURL != nil)
	// These are long-running in one version and not in another.
	at := []string{group, name}
	run := must(call(reflect.ValueOf(registries), "ScheduleRun", at, l.cases.Run)).Field(0).Interface().(acr.Run)
	told("registries scheduleRun", *run.Properties.Status == acr.RunStatusFailed)
	told("runs get", *must(runs.Get(ctx, group, name, *run.Name, nil)).ID == *run.ID)
	changed := must(call(reflect.ValueOf(runs), "Update", append(at, *run.Name),
		json.RawMessage(`{"isArchiveEnabled": true}`))).Field(0).Interface().(acr.Run)
	told("runs update", *changed.Properties.IsArchiveEnabled)
	must(call(reflect.ValueOf(runs), "Cancel", append(at, *run.Name), nil))
	told("runs cancel", true)
	has := false
	for _, one := range page(runs.NewListPager(group, name, nil)).Value {
		has = has || *one.ID == *run.ID
	}
	told("runs list", has)
}

func (l *library) actOnGroup() {
	groups, tags := l.resources.NewResourceGroupsClient(), l.resources.NewTagsClient()
	group := must(groups.Get(ctx, l.cases.Group, nil))
	told("resourceGroups get", *group.Name == l.cases.Group)
	told("resourceGroups update", *must(groups.Update(ctx, l.cases.Group, armresources.ResourceGroupPatchable{
		Tags: map[string]*string{"c": to.Ptr("d")}}, nil)).Tags["c"] == "d")
	has := false
	for _, one := range page(groups.NewListPager(nil)).Value {
		has = has || *one.Name == l.cases.Group
	}
	told("resourceGroups list", has)
	set := func(name, value string) *armresources.Tags {
		return &armresources.Tags{Tags: map[string]*string{name: to.Ptr(value)}}
	}
	told("tags create", *must(tags.CreateOrUpdateAtScope(ctx, *group.ID, armresources.TagsResource{
		Properties: set("e", "f")}, nil)).Properties.Tags["e"] == "f")
	told("tags update", len(must(tags.UpdateAtScope(ctx, *group.ID, armresources.TagsPatchResource{
		Operation:  to.Ptr(armresources.TagsPatchOperationMerge),
		Properties: set("g", "h")}, nil)).Properties.Tags) == 2)
	told("tags get", len(must(tags.GetAtScope(ctx, *group.ID, nil)).Properties.Tags) == 2)
	must(tags.DeleteAtScope(ctx, *group.ID, nil))
	told("tags delete", len(must(groups.Get(ctx, l.cases.Group, nil)).Tags) == 0)
}

func open() *library {
	management, subscription := os.Getenv("PORTOLAN_MANAGEMENT"), os.Getenv("AZURE_SUBSCRIPTION_ID")
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
	l := &library{
		acr:       must(acr.NewClientFactory(subscription, credential, armOptions)),
		resources: must(armresources.NewClientFactory(subscription, credential, armOptions)),
	}
	must(0, json.Unmarshal(must(os.ReadFile(os.Args[1])), &l.cases))
	return l
}

func main() {
	l := open()
	groups := l.resources.NewResourceGroupsClient()
	made := must(groups.CreateOrUpdate(ctx, l.cases.Group, armresources.ResourceGroup{
		Location: to.Ptr("eastus")}, nil))
	told("resourceGroups create", *made.Name == l.cases.Group)
	told("registries checkNameAvailability", *must(l.acr.NewRegistriesClient().CheckNameAvailability(ctx,
		acr.RegistryNameCheckRequest{Name: to.Ptr(l.cases.Registry),
			Type: to.Ptr("Microsoft.ContainerRegistry/registries")}, nil)).NameAvailable)
	for _, k := range l.cases.Kinds {
		l.make(k)
	}
	l.actOnRegistry()
	l.actOnChildren()
	l.actOnTasks()
	l.actOnGroup()
	for i := len(l.cases.Kinds) - 1; i >= 0; i-- {
		if !l.cases.Kinds[i].Kept {
			l.remove(l.cases.Kinds[i])
		}
	}
	done(groups.BeginDelete(ctx, l.cases.Group, nil))
	told("resourceGroups delete", !must(groups.CheckExistence(ctx, l.cases.Group, nil)).Success)
}
