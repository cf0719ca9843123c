-- Published tokens name their scope maps from now on: those published before are made again at once.
update resources set not_before = now() where type_key = 'microsoft.containerregistry/registries/tokens';
