// azidentity as it is published: prints whom each credential class signs in, one a line.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const tool = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

var (
	audience = os.Getenv("PORTOLAN_MANAGEMENT")
	tenant   = os.Getenv("AZURE_TENANT_ID")
	client   = os.Getenv("AZURE_CLIENT_ID")
	options  = azcore.ClientOptions{Cloud: cloud.Configuration{
		ActiveDirectoryAuthorityHost: os.Getenv("AZURE_AUTHORITY_HOST"),
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: audience, Audience: audience},
		},
	}}
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func made[T azcore.TokenCredential](credential T, err error) azcore.TokenCredential {
	return must(credential, err)
}

func assertion(context.Context) (string, error) {
	text, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	return string(text), err
}

func letIn(_ context.Context, m azidentity.DeviceCodeMessage) error {
	return exec.Command("/usr/bin/python3", os.Getenv("PERSON"), m.VerificationURL, m.UserCode).Run()
}

func credential(name string) azcore.TokenCredential {
	switch name {
	case "ClientSecret":
		return made(azidentity.NewClientSecretCredential(tenant, client, os.Getenv("AZURE_CLIENT_SECRET"),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "ClientCertificate":
		certificates, key, err := azidentity.ParseCertificates(must(os.ReadFile(os.Getenv("CERTIFICATE"))), nil)
		must(key, err)
		return made(azidentity.NewClientCertificateCredential(tenant, client, certificates, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "ClientAssertion":
		return made(azidentity.NewClientAssertionCredential(tenant, client, assertion,
			&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "WorkloadIdentity":
		return made(azidentity.NewWorkloadIdentityCredential(
			&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "Environment":
		return made(azidentity.NewEnvironmentCredential(
			&azidentity.EnvironmentCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "Default":
		return made(azidentity.NewDefaultAzureCredential(
			&azidentity.DefaultAzureCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}))
	case "Chained":
		return made(azidentity.NewChainedTokenCredential(
			[]azcore.TokenCredential{credential("ClientSecret")}, nil))
	case "UsernamePassword":
		return made(azidentity.NewUsernamePasswordCredential(tenant, tool, os.Getenv("PERSON_NAME"),
			os.Getenv("PERSON_PASSWORD"), &azidentity.UsernamePasswordCredentialOptions{
				ClientOptions: options, DisableInstanceDiscovery: true}))
	case "DeviceCode":
		return made(azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: true, TenantID: tenant, ClientID: tool,
			UserPrompt: letIn}))
	case "InteractiveBrowser":
		return made(azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: true, TenantID: tenant, ClientID: tool}))
	case "ManagedIdentity":
		var id azidentity.ManagedIDKind
		if name := os.Getenv("MANAGED_CLIENT_ID"); name != "" {
			id = azidentity.ClientID(name)
		}
		return made(azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: id}))
	case "AzureCli":
		return made(azidentity.NewAzureCLICredential(nil))
	}
	panic(name)
}

func main() {
	for _, name := range os.Args[1:] {
		token := must(credential(name).GetToken(context.Background(),
			policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}}))
		var claims struct{ Aud, Oid string }
		text := must(base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1]))
		if err := json.Unmarshal(text, &claims); err != nil || claims.Aud != audience {
			fmt.Fprintln(os.Stderr, name, err, claims)
			os.Exit(1)
		}
		fmt.Println(name, claims.Oid)
	}
}
